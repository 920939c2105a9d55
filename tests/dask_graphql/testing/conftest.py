"""The project in `shop` is a user's: its tests run in a pytest of their own."""

collect_ignore = ["shop"]
