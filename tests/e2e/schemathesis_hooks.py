"""Read by schemathesis (SCHEMATHESIS_HOOKS): the JSON of AWS's protocols goes by a media type of its own."""
import json

import schemathesis

AWS_JSON = "application/x-amz-json-1.1"
schemathesis.serializer.alias(AWS_JSON, "application/json")


@schemathesis.deserializer(AWS_JSON)
def read_aws_json(context, response):
    return json.loads(response.content)
