"""A program written from the documentation of Tencent Cloud's Python SDK for SSM, as it would run against Tencent Cloud.

Two lines are about where it runs: the endpoint and the protocol of HttpProfile, which the SDK documents.
"""
import os

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.ssm.v20190923 import models, ssm_client


def request(kind, **fields):
    made = kind()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def client():
    key = credential.Credential(os.environ["TENCENTCLOUD_SECRET_ID"], os.environ["TENCENTCLOUD_SECRET_KEY"])
    http = HttpProfile(protocol="http", endpoint=os.environ["SSM_ENDPOINT"])
    return ssm_client.SsmClient(key, os.environ["TENCENTCLOUD_REGION"], ClientProfile(httpProfile=http, language="en-US"))


def refused(code, call, asked):
    try:
        call(asked)
    except TencentCloudSDKException as error:
        assert error.get_code() == code, f"{error.get_code()} instead of {code}: {error.get_message()}"
        assert error.get_request_id(), "an error without a request id"
        return
    raise AssertionError(f"{code} was expected")


def main():
    ssm, name = client(), "sdk-demo"
    tag = request(models.Tag, TagKey="env", TagValue="test")

    made = ssm.CreateSecret(request(
        models.CreateSecretRequest, SecretName=name, VersionId="v1", SecretString="first", Description="by the SDK", Tags=[tag],
    ))
    assert (made.SecretName, made.VersionId, made.TagCode, made.TagMsg) == (name, "v1", 0, "ok")
    refused("ResourceInUse.SecretExists", ssm.CreateSecret, request(
        models.CreateSecretRequest, SecretName=name, VersionId="v1", SecretString="again",
    ))

    def read(version):
        return ssm.GetSecretValue(request(models.GetSecretValueRequest, SecretName=name, VersionId=version))

    assert (read("v1").SecretString, read("v1").SecretBinary) == ("first", "")

    ssm.PutSecretValue(request(models.PutSecretValueRequest, SecretName=name, VersionId="v2", SecretString="zweite ÄÖÜ 第二"))
    assert read("v2").SecretString == "zweite ÄÖÜ 第二"
    refused("ResourceInUse.VersionIdExists", ssm.PutSecretValue, request(
        models.PutSecretValueRequest, SecretName=name, VersionId="v2", SecretString="x",
    ))
    ssm.UpdateSecret(request(models.UpdateSecretRequest, SecretName=name, VersionId="v2", SecretString="third"))
    assert read("v2").SecretString == "third"
    versions = ssm.ListSecretVersionIds(request(models.ListSecretVersionIdsRequest, SecretName=name)).Versions
    assert [version.VersionId for version in versions] == ["v2", "v1"]
    ssm.DeleteSecretVersion(request(models.DeleteSecretVersionRequest, SecretName=name, VersionId="v1"))
    refused("ResourceNotFound", ssm.GetSecretValue, request(models.GetSecretValueRequest, SecretName=name, VersionId="v1"))

    ssm.UpdateDescription(request(models.UpdateDescriptionRequest, SecretName=name, Description="changed"))
    described = ssm.DescribeSecret(request(models.DescribeSecretRequest, SecretName=name))
    assert (described.Description, described.Status, described.RotationStatus) == ("changed", "Enabled", False)
    wanted = request(models.TagFilter, TagKey="env", TagValue=["test"])
    listed = ssm.ListSecrets(request(models.ListSecretsRequest, SearchSecretName=name, TagFilters=[wanted]))
    assert (listed.TotalCount, listed.SecretMetadatas[0].SecretName) == (1, name)

    ssm.DisableSecret(request(models.DisableSecretRequest, SecretName=name))
    refused("ResourceUnavailable.ResourceDisabled", ssm.GetSecretValue, request(
        models.GetSecretValueRequest, SecretName=name, VersionId="v2",
    ))
    deleted = ssm.DeleteSecret(request(models.DeleteSecretRequest, SecretName=name, RecoveryWindowInDays=7))
    assert deleted.DeleteTime > 0
    refused("ResourceUnavailable.ResourcePendingDeleted", ssm.GetSecretValue, request(
        models.GetSecretValueRequest, SecretName=name, VersionId="v2",
    ))
    ssm.RestoreSecret(request(models.RestoreSecretRequest, SecretName=name))
    ssm.EnableSecret(request(models.EnableSecretRequest, SecretName=name))
    assert read("v2").SecretString == "third"
    print("the SDK's program is done")


main()
