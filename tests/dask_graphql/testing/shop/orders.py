"""A task module of a user."""

from dataclasses import dataclass

from dask_graphql import BadInput, Blob, report_progress, save_blob, task


@dataclass
class Invoice:
    total: float
    file: Blob


def check_prices(prices: list[float], **_: object) -> None:
    if not prices:
        raise BadInput("make_invoice: name at least one price", argument="prices")


@task(checks=check_prices)
def make_invoice(prices: list[float], discount: float = 0.0) -> Invoice:
    """Adds up prices, and writes them into a file."""
    lines = []
    for number, price in enumerate(prices, 1):
        lines.append(f"{price:.2f}\n")
        report_progress(number / len(prices))
    total = sum(prices) * (1 - discount)
    return Invoice(round(total, 2), save_blob("invoice.txt", "".join(lines).encode(), media_type="text/plain"))
