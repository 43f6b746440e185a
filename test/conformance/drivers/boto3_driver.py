"""Calls App Runner by boto3: a call is a line of JSON on the input, its answer a line on the output."""

import datetime
import json
import os
import re
import sys

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError


def plain(value):
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return value


def call(client, action, arguments):
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()
    if not hasattr(client, method):
        return {"error": {"Code": "ClientSide", "Message": f"the client has no method {method}", "Status": 0}}
    try:
        output = getattr(client, method)(**arguments)
    except ClientError as error:
        told, metadata = error.response["Error"], error.response["ResponseMetadata"]
        return {"error": {"Code": told["Code"], "Message": told["Message"], "Status": metadata["HTTPStatusCode"]}}
    except (ParamValidationError, TypeError) as error:
        return {"error": {"Code": "ClientSide", "Message": str(error), "Status": 0}}
    except Exception as error:
        return {"error": {"Code": "NoAnswer", "Message": repr(error), "Status": 0}}
    output.pop("ResponseMetadata")
    return {"output": plain(output)}


def main():
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
    client = boto3.client("apprunner", endpoint_url=os.environ["APPRUNNER_ENDPOINT"], config=config)
    print(json.dumps({"version": boto3.__version__}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(call(client, question["action"], question["input"])), flush=True)


main()
