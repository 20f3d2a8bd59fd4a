"""A bucket of the tests' S3 server."""

from functools import cache
from typing import Any

import boto3

S3_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "a-secret-for-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Bucket:
    """What is really in it, seen by another client than ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = f"s3://{name}/some/where"
        self.client = _client()

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return [each["Key"].removeprefix("some/where/") for each in found]

    def content(self, name: str) -> bytes:
        answer = self.client.get_object(Bucket=self.name, Key=f"some/where/{name}")
        content: bytes = answer["Body"].read()
        return content

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"some/where/{name}", Body=content)

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=f"some/where/{name}")


@cache
def _client() -> Any:
    """One server and one client for all tests."""
    return boto3.client("s3")
