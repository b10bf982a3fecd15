"""A program written from the documentation of Tencent Cloud's Python SDKs for SSM and CloudAudit: what the service says of itself,
and what the trail says of it.

Two lines are about where it runs: the endpoint and the protocol of HttpProfile, which the SDK documents.
"""
import json
import os
import time

from tencentcloud.cloudaudit.v20190319 import cloudaudit_client, models as audit
from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.ssm.v20190923 import models as ssm, ssm_client


def request(kind, **fields):
    made = kind()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def client(kind):
    key = credential.Credential(os.environ["TENCENTCLOUD_SECRET_ID"], os.environ["TENCENTCLOUD_SECRET_KEY"])
    http = HttpProfile(protocol="http", endpoint=os.environ["SSM_ENDPOINT"])
    return kind(key, os.environ["TENCENTCLOUD_REGION"], ClientProfile(httpProfile=http, language="en-US"))


def refused(code, call, asked):
    try:
        call(asked)
    except TencentCloudSDKException as error:
        assert error.get_code() == code, f"{error.get_code()} instead of {code}: {error.get_message()}"
        assert error.get_request_id(), "an error without a request id"
        return error.get_request_id()
    raise AssertionError(f"{code} was expected")


def service(secrets):
    regions = secrets.GetRegions(request(ssm.GetRegionsRequest))
    assert regions.Regions == [os.environ["TENCENTCLOUD_REGION"]], regions.Regions
    status = secrets.GetServiceStatus(request(ssm.GetServiceStatusRequest))
    assert status.ServiceEnabled is True and status.InvalidType == 1, status.to_json_string()
    assert (status.SecretLimit, status.TotalCount, status.PayModel) == (100000, 1, "Postpaid_SSM"), status.to_json_string()
    products = secrets.DescribeSupportedProducts(request(ssm.DescribeSupportedProductsRequest))
    assert (products.Products, products.TotalCount) == ([], 0)
    create = request(ssm.CreateServiceRequest, PayMode="PostPay", ClientToken="sdk-1")
    refused("ResourceInUse.ServiceAlreadyEnabled", secrets.CreateService, create)
    privileges = request(ssm.ProductPrivilegeUnit, PrivilegeName="GlobalPrivileges", Privileges=["SELECT"])
    refused("UnsupportedOperation", secrets.CreateProductSecret, request(
        ssm.CreateProductSecretRequest, SecretName="sdk-product", UserNamePrefix="app", ProductName="Mysql", InstanceID="cdb-1",
        Domains=["%"], PrivilegesList=[privileges],
    ))
    refused("UnsupportedOperation", secrets.RotateProductSecret, request(ssm.RotateProductSecretRequest, SecretName="sdk-audit"))


def pages(call, kind, **question):
    events, token = [], {}
    while True:
        answer = call(request(kind, **question, **token))
        events += answer.Events
        if answer.ListOver:
            return events
        token = {"NextToken": answer.NextToken}


def main():
    secrets, trail = client(ssm_client.SsmClient), client(cloudaudit_client.CloudauditClient)
    secrets.CreateSecret(request(ssm.CreateSecretRequest, SecretName="sdk-audit", SecretString="s3cret-marker"))
    read = secrets.GetSecretValue(request(ssm.GetSecretValueRequest, SecretName="sdk-audit", VersionId="SSM_Current"))
    missing = refused("ResourceNotFound.SecretNotExist", secrets.GetSecretValue, request(
        ssm.GetSecretValueRequest, SecretName="sdk-none", VersionId="v1",
    ))
    service(secrets)

    def where(**conditions):
        attributes = [
            request(audit.LookupAttribute, AttributeKey=key, AttributeValue=value) for key, value in conditions.items()
        ]
        return {"StartTime": 0, "EndTime": int(time.time()) + 60, "LookupAttributes": attributes, "MaxResults": 2}

    looked_up = pages(trail.LookUpEvents, audit.LookUpEventsRequest, **where(EventName="GetSecretValue"))
    described = pages(trail.DescribeEvents, audit.DescribeEventsRequest, **where(EventName="GetSecretValue"))
    for events in (looked_up, described):
        assert [event.RequestID for event in events] == [missing, read.RequestId], [event.RequestID for event in events]
    event = json.loads(looked_up[1].CloudAuditEvent)
    assert event["eventName"] == "GetSecretValue" and event["resourceName"] == "sdk-audit", event
    assert event["userIdentity"]["secretId"] == looked_up[1].SecretId == os.environ["TENCENTCLOUD_SECRET_ID"], event
    assert event["userAgent"].startswith("SDK_PYTHON_3."), event
    assert json.loads(looked_up[0].CloudAuditEvent)["apiErrorCode"] == "ResourceNotFound.SecretNotExist"
    of_secret = pages(trail.DescribeEvents, audit.DescribeEventsRequest, **where(ResourceName="sdk-audit", ActionType="Write"))
    assert [event.EventName for event in of_secret] == ["RotateProductSecret", "CreateSecret"], of_secret
    everything = pages(trail.LookUpEvents, audit.LookUpEventsRequest, **where(ReadOnly="false"))
    assert {"CreateService", "CreateProductSecret", "System"} <= {event.EventName for event in everything}
    assert "s3cret-marker" not in "".join(event.to_json_string() for event in everything + looked_up)
    refused("InvalidParameterValue.Time", trail.LookUpEvents, request(audit.LookUpEventsRequest, StartTime=2, EndTime=1))
    refused("InvalidParameter.Time", trail.DescribeEvents, request(audit.DescribeEventsRequest, StartTime=2))
    refused("InvalidParameterValue.attributeKey", trail.LookUpEvents, request(audit.LookUpEventsRequest, **where(Colour="x")))
    print("the SDK's program is done")


main()
