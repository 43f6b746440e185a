"""Serializes requests and parses responses as botocore does, for the tests of package apprunner.

Each line of stdin is a call, a JSON object; each line of stdout is its answer: {"result": ...} or {"error": "..."}.

  {"call": "model", "model": {...}}    sets the service model (botocore's service-2.json) of the calls that follow
  {"call": "installed"}                returns the service model of App Runner that botocore comes with
  {"call": "serialize", "protocol": "json" | "query" | "rest-xml", "operation": "...", "params": {...}}
                                       returns the request's body as text
  {"call": "parse", "protocol": "...", "operation": "...", "body": "..."}
                                       returns the parameters that the response of that body has

Timestamps in parameters are texts: 2020-05-15T12:00:00.000000Z.
"""

import copy
import datetime
import json
import sys
import traceback

import botocore.awsrequest
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize

models = {}


def set_model(call):
    for protocol in ("json", "query", "rest-xml"):
        document = copy.deepcopy(call["model"])
        document["metadata"]["protocol"] = protocol
        models[protocol] = botocore.model.ServiceModel(document)


def installed(call):
    return botocore.loaders.Loader().load_service_model("apprunner", "service-2")


def serialize(call):
    operation = models[call["protocol"]].operation_model(call["operation"])
    # Without validation, because the values are random.
    serializer = botocore.serialize.create_serializer(call["protocol"], include_validation=False)
    request = serializer.serialize_to_request(call["params"], operation)
    # This is what turns the parameters of a form into a body.
    prepared = botocore.awsrequest.AWSRequest(
        method="POST", url="http://localhost/", data=request["body"], headers=request["headers"]
    ).prepare()
    body = prepared.body or b""
    return body if isinstance(body, str) else body.decode("utf-8")


def parse(call):
    operation = models[call["protocol"]].operation_model(call["operation"])
    parser = botocore.parsers.create_parser(call["protocol"])
    response = {"body": call["body"].encode("utf-8"), "headers": {}, "status_code": 200}
    params = parser.parse(response, operation.output_shape)
    metadata = params.pop("ResponseMetadata")
    return {"params": plain(params), "requestId": metadata.get("RequestId")}


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value


calls = {"model": set_model, "installed": installed, "serialize": serialize, "parse": parse}

for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = {"result": calls[call["call"]](call)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
