"""The bucket of Terraform's state, for more than one person: with versions and TLS, and a lock beside each state."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

MISSING: Final = ("404", "NoSuchBucket")


def bucket_name(account: str, region: str) -> str:
    """The default name. Names of buckets are shared by all of AWS; the account's number makes ours unique."""
    return f"dask-graphql-state-{account}-{region}"


def make_bucket(s3: Any, name: str, region: str) -> bool:
    """Makes the bucket, unless it is there, and sets what protects it. Returns whether it was made.

    Raises:
        ClientError: AWS refuses, such as if the bucket is another account's.
    """
    made = False
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING:
            raise
        # us-east-1 is the one region that must not be named.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **place)
        made = True
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
    return made


def backend(bucket: str, region: str) -> str:
    """The file that makes Terraform keep its state there. S3's own conditional writes are the lock."""
    return f"""# Written by `scripts/aws/deploy.py state`.
terraform {{
  backend "s3" {{
    bucket       = "{bucket}"
    key          = "dask-graphql/terraform.tfstate"
    region       = "{region}"
    encrypt      = true
    use_lockfile = true
  }}
}}
"""


def write_backend(folder: Path, bucket: str, region: str) -> bool:
    """Writes backend.tf. Returns False, and changes nothing, if it is there with another content."""
    file, text = folder / "backend.tf", backend(bucket, region)
    if file.exists() and file.read_text() != text:
        return False
    file.write_text(text)
    return True
