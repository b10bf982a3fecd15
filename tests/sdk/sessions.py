"""The credential classes of Tencent Cloud's Python SDK that take roles, as its documentation uses them.

They refresh by themselves; the first program shows its token each time, the second reads it from a file, as in a Kubernetes cluster.
"""
import os
import time

from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.ssm.v20190923 import models, ssm_client

ENDPOINT = os.environ["SSM_ENDPOINT"]
REGION = os.environ["TENCENTCLOUD_REGION"]


def read(key):
    http = HttpProfile(protocol="http", endpoint=ENDPOINT)
    client = ssm_client.SsmClient(key, REGION, ClientProfile(httpProfile=http, language="en-US"))
    asked = models.GetSecretValueRequest()
    asked.SecretName, asked.VersionId = "demo-db", "SSM_Current"
    return client.GetSecretValue(asked).SecretString


def main():
    with open(os.environ["TKE_WEB_IDENTITY_TOKEN_FILE"]) as file:
        token = file.read()
    shown = credential.OIDCRoleArnCredential(
        REGION, os.environ["TKE_PROVIDER_ID"], token, os.environ["TKE_ROLE_ARN"], "sdk-session",
        duration_seconds=600, endpoint="http://" + ENDPOINT,
    )
    assert read(shown) == "value"
    first = shown.secretId
    assert shown.secretId == first, "renewed although it is good"
    # As if nine tenths of its life were over.
    shown._expired_time = time.time() - 1
    assert read(shown) == "value"
    assert shown.secretId != first, "not renewed"

    workload = credential.DefaultTkeOIDCRoleArnProvider().get_credential()
    workload.endpoint = "http://" + ENDPOINT
    assert read(workload) == "value"

    taken = credential.STSAssumeRoleCredential(
        os.environ["TENCENTCLOUD_SECRET_ID"], os.environ["TENCENTCLOUD_SECRET_KEY"], os.environ["TKE_ROLE_ARN"], "by-key",
        duration_seconds=600, endpoint="http://" + ENDPOINT,
    )
    assert read(taken) == "value"
    print("the roles were taken")


main()
