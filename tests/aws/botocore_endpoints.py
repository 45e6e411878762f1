"""Prints what botocore's endpoint rules say: a line "SERVICE REGION FIPS DUALSTACK BUCKET URL SIGNING_REGION" for every region
that botocore knows. "-" is no bucket, none is an endpoint that there is not, and "-" the region itself.

Usage: botocore_endpoints.py, run by an interpreter that has botocore.
"""
import botocore.endpoint_provider
import botocore.exceptions
import botocore.loaders

# By signing name; and what the rules want to know beyond region, FIPS and dual-stack.
SERVICES = {"sqs": ("sqs", {}), "ec2": ("ec2", {}), "sts": ("sts", {"UseGlobalEndpoint": False}),
            "autoscaling": ("autoscaling", {}), "monitoring": ("cloudwatch", {}), "iam": ("iam", {}),
            "servicequotas": ("service-quotas", {}), "cloudformation": ("cloudformation", {}),
            "s3": ("s3", {"ForcePathStyle": False, "Accelerate": False, "UseGlobalEndpoint": False})}
BUCKETS = ("my-photos", "my.photos")  # a dot does not fit the certificate

loader = botocore.loaders.Loader()
partitions = loader.load_data("partitions")
regions = [region for partition in partitions["partitions"] for region in partition["regions"]
           if not region.endswith("-global")]  # names for services that have no region
for service, (folder, parameters) in SERVICES.items():
    rules = loader.load_service_model(folder, "endpoint-rule-set-1")
    provider = botocore.endpoint_provider.EndpointProvider(rules, partitions)
    for region in regions:
        for fips in (False, True):
            for dualstack in (False, True):
                for bucket in BUCKETS if service == "s3" else ("-",):
                    asked = parameters | ({"Bucket": bucket} if service == "s3" else {})
                    try:
                        found = provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, **asked)
                        url = found.url
                        signing = [scheme.get("signingRegion", "-") for scheme in found.properties.get("authSchemes", [])]
                    except botocore.exceptions.EndpointProviderError:
                        url, signing = "none", []
                    print(service, region, int(fips), int(dualstack), bucket, url, *(signing or ["-"]))
