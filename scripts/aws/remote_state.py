"""The bucket of Terraform's state, for more than one person: with versions and TLS, and a lock beside each state."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError
from shell import Failed
from terraform_cli import TERRAFORM, prepare, terraform

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


def keep_state_in_s3(bucket: str | None, region: str) -> None:
    """Makes the bucket of the state and moves the state there."""
    account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    bucket = bucket or bucket_name(account, region)
    made = make_bucket(boto3.client("s3", region_name=region), bucket, region)
    print(f"{'made' if made else 'found'} the bucket {bucket}: with versions, closed to the public")
    if not write_backend(TERRAFORM, bucket, region):
        raise Failed(
            f"{TERRAFORM}/backend.tf says something else: delete it first, if the state is to move to {bucket}"
        )
    prepare()
    terraform("init", "-input=false", "-migrate-state", "-force-copy")
    print("the state is there: commit backend.tf, so that others find it")
