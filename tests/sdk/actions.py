"""Every action that the door takes, parameter by parameter and error by error, through Tencent Cloud's Python SDK.

It knows of its surroundings what these variables say: the endpoint, the key of somebody who may do everything, the key of somebody
who may do nothing (STRANGER_*), how to sign and to send, and a token of the issuer `corp` (WEB_IDENTITY_TOKEN). The account holds
`sealed-off` with the version `v1`, whose key is disabled, the disabled key `off`, and the role `reader`, which trusts both; it may
hold 6 secrets, with 3 versions each. A parameter that a published request has and no call here sets is an error.

Its last line is what was shown, as JSON: of each action the parameters of calls that succeeded, those that were refused whenever
they were set, and the codes of errors.
"""
import base64
import json
import os
import time

from tencentcloud.cam.v20190116 import cam_client, models as cam
from tencentcloud.cloudaudit.v20190319 import cloudaudit_client, models as cloudaudit
from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.ssm.v20190923 import models as ssm, ssm_client
from tencentcloud.sts.v20180813 import models as sts, sts_client

METHOD = os.environ.get("REQUEST_METHOD", "POST")
SERVICES = {
    "ssm": (ssm, ssm_client.SsmClient, [
        "CreateProductSecret", "CreateSSHKeyPairSecret", "CreateSecret", "CreateService", "DeleteSecret", "DeleteSecretVersion",
        "DescribeAsyncRequestInfo", "DescribeRotationDetail", "DescribeRotationHistory", "DescribeSecret",
        "DescribeSupportedProducts", "DisableSecret", "EnableSecret", "GetRegions", "GetSSHKeyPairValue", "GetSecretValue",
        "GetServiceStatus", "ListSecretVersionIds", "ListSecrets", "PutSecretValue", "RestoreSecret", "RotateProductSecret",
        "UpdateDescription", "UpdateRotationStatus", "UpdateSecret",
    ]),
    "sts": (sts, sts_client.StsClient, [
        "AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetFederationToken",
    ]),
    "cam": (cam, cam_client.CamClient, ["CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "UpdateAccessKey"]),
    "cloudaudit": (cloudaudit, cloudaudit_client.CloudauditClient, ["DescribeEvents", "LookUpEvents"]),
}
OF = {action: service for service, (_, _, actions) in SERVICES.items() for action in actions}
SHOWN = {action: {"taken": set(), "set": set(), "errors": set()} for action in OF}


def clients(prefix):
    key = credential.Credential(os.environ[f"{prefix}_SECRET_ID"], os.environ[f"{prefix}_SECRET_KEY"])
    http = HttpProfile(protocol="http", endpoint=os.environ["SSM_ENDPOINT"], reqMethod=METHOD)
    profile = ClientProfile(httpProfile=http, language="en-US", signMethod=os.environ.get("SIGN_METHOD"))
    profile.unsignedPayload = os.environ.get("UNSIGNED_PAYLOAD") == "yes"
    return {name: client(key, os.environ["TENCENTCLOUD_REGION"], profile) for name, (_, client, _) in SERVICES.items()}


ADMIN, STRANGER = clients("TENCENTCLOUD"), clients("STRANGER")


def made(models, kind, value):
    """A value as the request's class has it: an object of the SDK for a dictionary."""
    if isinstance(value, list):
        return [made(models, kind, one) for one in value]
    if not isinstance(value, dict):
        return value
    whole = getattr(models, kind)()
    for name, part in value.items():
        setattr(whole, name, part)
    return whole


KINDS = {"Tags": "Tag", "TagFilters": "TagFilter", "PrivilegesList": "ProductPrivilegeUnit", "LookupAttributes": "LookupAttribute"}


def send(whose, action, fields):
    models = SERVICES[OF[action]][0]
    asked = getattr(models, f"{action}Request")()
    for name, value in fields.items():
        setattr(asked, name, made(models, KINDS.get(name, ""), value))
    return getattr(whose[OF[action]], action)(asked)


def ok(action, **fields):
    SHOWN[action]["taken"] |= fields.keys()
    SHOWN[action]["set"] |= fields.keys()
    answer = send(ADMIN, action, fields)
    assert answer.RequestId
    return answer


def refused(code, action, whose=ADMIN, **fields):
    SHOWN[action]["set"] |= fields.keys()
    try:
        send(whose, action, fields)
    except TencentCloudSDKException as error:
        assert error.get_code() == code, f"{action} {fields}: {error.get_code()} instead of {code}: {error.get_message()}"
        assert error.get_request_id(), "an error without a request id"
        SHOWN[action]["errors"].add(code)
        return
    raise AssertionError(f"{action} {fields}: {code} was expected")


def requires(action, **fields):
    """Each of these parameters is required."""
    for name in fields:
        refused("MissingParameter", action, **{other: value for other, value in fields.items() if other != name})


def secrets():
    binary = base64.b64encode(bytes(range(256))).decode()
    tag = {"TagKey": "env", "TagValue": "test"}
    first = {"SecretName": "one", "SecretString": "first"}
    requires("CreateSecret", **first)
    ok("CreateSecret", **first, VersionId="v1", Description="the first", Tags=[tag], SecretType=0, EncryptType=0)
    refused("ResourceInUse.SecretExists", "CreateSecret", **first)
    default = ok("DescribeSecret", SecretName="one").KmsKeyId
    ok("CreateSecret", SecretName="two", SecretBinary=binary, KmsKeyId=default)
    other = {"SecretName": "other", "SecretString": "x"}
    refused("FailedOperation.AccessKmsError", "CreateSecret", **other, KmsKeyId="off")
    refused("InvalidParameterValue.TagKeysDuplicated", "CreateSecret", **other, Tags=[tag, tag])
    for unsupported in ({"SecretType": 1}, {"EncryptType": 1}, {"AdditionalConfig": "{}"}, {"KmsHsmClusterId": "c"}):
        refused("UnsupportedOperation", "CreateSecret", **other, **unsupported)
    refused("InvalidParameterValue", "CreateSecret", SecretName="a//b", SecretString="x")
    refused("InvalidParameterValue", "CreateSecret", **other, SecretBinary=binary)

    requires("PutSecretValue", SecretName="one", VersionId="v2", SecretString="second")
    ok("PutSecretValue", SecretName="one", VersionId="v2", SecretString="zweite ÄÖÜ & 第二=%41+")
    ok("PutSecretValue", SecretName="one", VersionId="v3", SecretBinary=binary)
    refused("ResourceInUse.VersionIdExists", "PutSecretValue", SecretName="one", VersionId="v2", SecretString="x")
    refused("LimitExceeded", "PutSecretValue", SecretName="one", VersionId="v4", SecretString="x")
    refused("FailedOperation.AccessKmsError", "PutSecretValue", SecretName="sealed-off", VersionId="v2", SecretString="x")
    refused("InvalidParameterValue", "PutSecretValue", SecretName="one", VersionId="-", SecretString="x")
    requires("UpdateSecret", SecretName="one", VersionId="v1", SecretString="first again")
    ok("UpdateSecret", SecretName="one", VersionId="v1", SecretString="first again")
    ok("UpdateSecret", SecretName="one", VersionId="v3", SecretBinary=binary[:4])
    refused("FailedOperation.AccessKmsError", "UpdateSecret", SecretName="sealed-off", VersionId="v1", SecretString="x")
    refused("InvalidParameterValue", "UpdateSecret", SecretName="one", VersionId="v1", SecretBinary="!")

    requires("GetSecretValue", SecretName="one")
    values = [("one", "v1", "first again", ""), ("one", "v2", "zweite ÄÖÜ & 第二=%41+", ""), ("one", "v3", "", binary[:4])]
    for name, version, text, bytes_ in [*values, ("two", "SSM_Current", "", binary)]:
        read = ok("GetSecretValue", SecretName=name, VersionId=version)
        assert (read.SecretString, read.SecretBinary) == (text, bytes_), (name, version)
    assert ok("GetSecretValue", SecretName="one").VersionId == "v3"
    for unsupported in ({"EncryptionPublicKey": "k"}, {"EncryptionAlgorithm": "a"}):
        refused("UnsupportedOperation", "GetSecretValue", SecretName="one", VersionId="v1", **unsupported)
    refused("ResourceNotFound.SecretNotExist", "GetSecretValue", SecretName="none", VersionId="v1")
    refused("FailedOperation.AccessKmsError", "GetSecretValue", SecretName="sealed-off", VersionId="v1")
    refused("InvalidParameterValue", "GetSecretValue", SecretName="/", VersionId="v1")

    listed = ok("ListSecrets", Offset=0, Limit=10, OrderType=1, State=1, SearchSecretName="o", SecretType=0, EncryptType=0,
                TagFilters=[{"TagKey": "env", "TagValue": ["prod", "test"]}])
    assert [one.SecretName for one in listed.SecretMetadatas] == ["one"]
    assert ok("ListSecrets", ProductName="Mysql", SecretType=1).TotalCount == 0
    assert ok("ListSecrets", InstanceID="cdb-1").TotalCount == 0
    for wrong in ({"Limit": 201}, {"State": 9}, {"OrderType": 2}, {"SecretType": 9}, {"EncryptType": 2}):
        refused("InvalidParameterValue", "ListSecrets", **wrong)
    versions = ok("ListSecretVersionIds", SecretName="one").Versions
    assert [one.VersionId for one in versions] == ["v3", "v2", "v1"]

    ok("UpdateDescription", SecretName="one", Description="changed")
    assert ok("DescribeSecret", SecretName="one").Description == "changed"
    refused("InvalidParameterValue", "UpdateDescription", SecretName="one", Description="x" * 2049)
    ok("DeleteSecretVersion", SecretName="one", VersionId="v2")
    refused("FailedOperation", "DeleteSecretVersion", SecretName="two", VersionId="SSM_Current")

    ok("DisableSecret", SecretName="one")
    refused("ResourceUnavailable.ResourceDisabled", "GetSecretValue", SecretName="one", VersionId="v1")
    ok("EnableSecret", SecretName="one")
    refused("FailedOperation", "DeleteSecret", SecretName="one")
    refused("FailedOperation", "RestoreSecret", SecretName="one")
    ok("DisableSecret", SecretName="one")
    refused("InvalidParameterValue", "DeleteSecret", SecretName="one", RecoveryWindowInDays=31)
    refused("UnsupportedOperation", "DeleteSecret", SecretName="one", CleanSSHKey=True)
    refused("UnsupportedOperation", "DeleteSecret", SecretName="one", DeleteMode=1)
    assert ok("DeleteSecret", SecretName="one", RecoveryWindowInDays=7, DeleteMode=0).DeleteTime > 0
    refused("ResourceUnavailable.ResourcePendingDeleted", "GetSecretValue", SecretName="one", VersionId="v1")
    for action, more in [("EnableSecret", {}), ("DisableSecret", {}), ("UpdateDescription", {"Description": "d"}),
                         ("PutSecretValue", {"VersionId": "v9", "SecretString": "x"}),
                         ("UpdateSecret", {"VersionId": "v1", "SecretString": "x"})]:
        refused("FailedOperation", action, SecretName="one", **more)
    ok("RestoreSecret", SecretName="one")
    ok("EnableSecret", SecretName="one")
    for action, more in [("PutSecretValue", {"VersionId": "v1", "SecretString": "x"}),
                         ("UpdateSecret", {"VersionId": "v1", "SecretString": "x"}), ("DescribeSecret", {}),
                         ("ListSecretVersionIds", {}), ("UpdateDescription", {"Description": "d"}), ("EnableSecret", {}),
                         ("DisableSecret", {}), ("DeleteSecret", {}), ("RestoreSecret", {}),
                         ("DeleteSecretVersion", {"VersionId": "v1"})]:
        requires(action, **({"SecretName": "one"} | more))
        refused("ResourceNotFound", action, SecretName="none", **more)
        refused("InvalidParameterValue", action, SecretName="a b", **more)
    for action in ("GetSecretValue", "UpdateSecret", "DeleteSecretVersion"):
        value = {"SecretString": "x"} if action == "UpdateSecret" else {}
        refused("ResourceNotFound", action, SecretName="one", VersionId="v7", **value)


def ssh_keys():
    requires("CreateSSHKeyPairSecret", SecretName="pair", ProjectId=0)
    pair = ok("CreateSSHKeyPairSecret", SecretName="pair", ProjectId=0, Description="a pair", SSHKeyName="pair_1",
              Tags=[{"TagKey": "env", "TagValue": "test"}], KmsKeyId=ok("DescribeSecret", SecretName="two").KmsKeyId, EncryptType=0)
    refused("ResourceInUse.SecretExists", "CreateSSHKeyPairSecret", SecretName="pair", ProjectId=0)
    other = {"SecretName": "other", "ProjectId": 0}
    refused("FailedOperation.AccessKmsError", "CreateSSHKeyPairSecret", **other, KmsKeyId="off")
    tag = {"TagKey": "env", "TagValue": "test"}
    refused("InvalidParameterValue.TagKeysDuplicated", "CreateSSHKeyPairSecret", **other, Tags=[tag, tag])
    refused("InvalidParameterValue", "CreateSSHKeyPairSecret", **other, SSHKeyName="-")
    for unsupported in ({"EncryptType": 1}, {"KmsHsmClusterId": "c"}):
        refused("UnsupportedOperation", "CreateSSHKeyPairSecret", **other, **unsupported)
    by_name = ok("GetSSHKeyPairValue", SecretName="pair")
    assert ok("GetSSHKeyPairValue", SSHKeyId=pair.SSHKeyID).PrivateKey == by_name.PrivateKey
    assert by_name.PublicKey.startswith("ssh-")
    refused("MissingParameter", "GetSSHKeyPairValue")
    refused("ResourceNotFound", "GetSSHKeyPairValue", SecretName="none")
    refused("InvalidParameterValue", "GetSSHKeyPairValue", SSHKeyId="another")
    ok("DisableSecret", SecretName="pair")
    refused("FailedOperation", "GetSSHKeyPairValue", SecretName="pair")
    refused("InvalidParameterValue", "DeleteSecret", SecretName="pair", RecoveryWindowInDays=1)
    refused("UnsupportedOperation", "DeleteSecret", SecretName="pair", CleanSSHKey=True)
    ok("DeleteSecret", SecretName="pair", CleanSSHKey=False)


def service():
    assert ok("GetRegions").Regions == [os.environ["TENCENTCLOUD_REGION"]]
    status = ok("GetServiceStatus")
    assert (status.SecretLimit, status.ServiceEnabled) == (6, True)
    token = {"PayMode": "PostPay", "ClientToken": "t"}
    requires("CreateService", **token)
    refused("InvalidParameterValue", "CreateService", **(token | {"PayMode": "postpay"}))
    refused("ResourceInUse.ServiceAlreadyEnabled", "CreateService", **token)
    assert ok("DescribeSupportedProducts").Products == []
    product = {
        "SecretName": "db", "UserNamePrefix": "app", "ProductName": "Mysql", "InstanceID": "cdb-1", "Domains": ["%"],
        "PrivilegesList": [{"PrivilegeName": "GlobalPrivileges", "Privileges": ["SELECT"]}],
    }
    requires("CreateProductSecret", **product)
    tag = {"TagKey": "env", "TagValue": "test"}
    refused("InvalidParameterValue.TagKeysDuplicated", "CreateProductSecret", **product, Tags=[tag, tag])
    refused("InvalidParameterValue", "CreateProductSecret", **(product | {"UserNamePrefix": "1"}))
    refused("UnsupportedOperation", "CreateProductSecret", **product, Description="d", KmsKeyId="k", Tags=[tag], EncryptType=0,
            KmsHsmClusterId="c", EnableRotation=True, RotationBeginTime="2030-01-01 00:00:00", RotationFrequency=30,
            AccountRemark="r", AccountType="L3")
    named = {"SecretName": "db"}
    for action, asked in [("RotateProductSecret", named), ("DescribeRotationDetail", named), ("DescribeRotationHistory", named),
                          ("UpdateRotationStatus", named | {"EnableRotation": False}), ("DescribeAsyncRequestInfo", {"FlowID": 1})]:
        requires(action, **asked)
        more = {"Frequency": 30, "RotationBeginTime": "2030-01-01 00:00:00"} if action == "UpdateRotationStatus" else {}
        refused("UnsupportedOperation", action, **asked, **more)
    refused("InvalidParameterValue", "UpdateRotationStatus", **named, EnableRotation=True, Frequency=29)


def limits():
    held = ok("GetServiceStatus").TotalCount
    for number in range(held, 6):
        ok("CreateSecret", SecretName=f"more-{number}", SecretString="x")
    refused("LimitExceeded", "CreateSecret", SecretName="one-too-many", SecretString="x")
    refused("LimitExceeded", "CreateSSHKeyPairSecret", SecretName="one-too-many", ProjectId=0)


def sessions():
    role = {"RoleArn": "qcs::cam::uin/100000000001:roleName/reader", "RoleSessionName": "by-sdk"}
    policy = json.dumps({"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]})
    requires("AssumeRole", **role)
    session = ok("AssumeRole", **role, DurationSeconds=600, Policy=policy)
    assert session.Credentials.Token and session.ExpiredTime > time.time()
    refused("InvalidParameter.OverTimeError", "AssumeRole", **role, DurationSeconds=59)
    refused("InvalidParameter.StrategyFormatError", "AssumeRole", **role, Policy="{")
    refused("InvalidParameter.StrategyInvalid", "AssumeRole", **role, Policy=policy.replace("2.0", "1.0"))
    refused("InvalidParameter.ParamError", "AssumeRole", **(role | {"RoleSessionName": "-"}))
    refused("InvalidParameterValue", "AssumeRole", **(role | {"RoleArn": "reader"}))
    for unknown in ({"ExternalId": "e"}, {"SourceIdentity": "s"}, {"SerialNumber": "n"}, {"TokenCode": "1"},
                    {"Tags": [{"Key": "a", "Value": "b"}]}):
        refused("UnknownParameter", "AssumeRole", **role, **unknown)
    assert ok("GetCallerIdentity").Type == "CAMUser"
    federation = {"Name": "bySdk", "Policy": policy}
    requires("GetFederationToken", **federation)
    assert ok("GetFederationToken", **federation, DurationSeconds=600).Credentials.Token
    refused("InvalidParameter.OverTimeError", "GetFederationToken", **federation, DurationSeconds=59)
    refused("InvalidParameter.StrategyFormatError", "GetFederationToken", Name="bySdk", Policy="{")
    refused("InvalidParameter.ParamError", "GetFederationToken", Name="by-sdk", Policy=policy)


def web_identity():
    """The SDK sends it without a signature, by POST, and in one form alone."""
    asked = {"ProviderId": "corp", "WebIdentityToken": os.environ["WEB_IDENTITY_TOKEN"],
             "RoleArn": "qcs::cam::uin/100000000001:roleName/reader", "RoleSessionName": "by-sdk"}

    def call(fields):
        made = sts.AssumeRoleWithWebIdentityRequest()
        for name, value in fields.items():
            setattr(made, name, value)
        client = ADMIN["sts"]
        options = {"SkipSign": True}
        body = json.loads(client.call("AssumeRoleWithWebIdentity", made._serialize(), options=options, headers=None))
        return body["Response"]

    shown = SHOWN["AssumeRoleWithWebIdentity"]
    assert call(asked | {"DurationSeconds": 600})["Credentials"]["Token"]
    shown["taken"] |= asked.keys() | {"DurationSeconds"}
    shown["set"] |= shown["taken"]
    wrong = [(name, {other: value for other, value in asked.items() if other != name}) for name in asked if name != "WebIdentityToken"]
    wrong = [("MissingParameter", fields) for _, fields in wrong]
    wrong += [("InvalidParameter.WebIdentityTokenError", asked | {"WebIdentityToken": "x.y.z"}),
              ("InvalidParameter.OverTimeError", asked | {"DurationSeconds": 59}),
              ("InvalidParameter.ParamError", asked | {"RoleSessionName": "-"}),
              ("UnauthorizedOperation", asked | {"RoleArn": "qcs::cam::uin/100000000001:roleName/none"})]
    for code, fields in wrong:
        try:
            call(fields)
        except TencentCloudSDKException as error:
            assert error.get_code() == code, f"{fields}: {error.get_code()} instead of {code}: {error.get_message()}"
            shown["errors"].add(code)
            continue
        raise AssertionError(f"{code} was expected")


def access_keys():
    second = ok("CreateAccessKey").AccessKey
    refused("OperationDenied.AccessKeyOverLimit", "CreateAccessKey")
    refused("UnknownParameter", "CreateAccessKey", Description="d")
    assert len(ok("ListAccessKeys").AccessKeys) == 2
    requires("UpdateAccessKey", AccessKeyId=second.AccessKeyId, Status="Inactive")
    ok("UpdateAccessKey", AccessKeyId=second.AccessKeyId, Status="Inactive")
    refused("InvalidParameterValue", "UpdateAccessKey", AccessKeyId=second.AccessKeyId, Status="Off")
    refused("ResourceNotFound", "UpdateAccessKey", AccessKeyId="AKID" + "x" * 28, Status="Active")
    requires("DeleteAccessKey", AccessKeyId=second.AccessKeyId)
    ok("DeleteAccessKey", AccessKeyId=second.AccessKeyId)
    refused("ResourceNotFound", "DeleteAccessKey", AccessKeyId=second.AccessKeyId)
    uin = int(ok("GetCallerIdentity").UserId)
    assert len(ok("ListAccessKeys", TargetUin=uin).AccessKeys) == 1
    third = ok("CreateAccessKey", TargetUin=uin).AccessKey
    ok("UpdateAccessKey", AccessKeyId=third.AccessKeyId, Status="Inactive", TargetUin=uin)
    ok("DeleteAccessKey", AccessKeyId=third.AccessKeyId, TargetUin=uin)
    for action, more in [("CreateAccessKey", {}), ("ListAccessKeys", {}), ("DeleteAccessKey", {"AccessKeyId": third.AccessKeyId}),
                         ("UpdateAccessKey", {"AccessKeyId": third.AccessKeyId, "Status": "Active"})]:
        refused("InvalidParameterValue", action, TargetUin=1, **more)


def events():
    span = {"StartTime": 0, "EndTime": int(time.time()) + 60}
    condition = [{"AttributeKey": "EventName", "AttributeValue": "GetSecretValue"}]
    for action, first, more in [("LookUpEvents", "", {"Mode": "standard"}), ("DescribeEvents", 0, {"IsReturnLocation": 0})]:
        for name in span:
            refused("InvalidParameter.Time", action, **{other: second for other, second in span.items() if other != name})
        found = ok(action, **span, LookupAttributes=condition, MaxResults=3, NextToken=first, **more)
        assert found.Events and not found.ListOver
        assert ok(action, **span, LookupAttributes=condition, MaxResults=3, NextToken=found.NextToken).Events
        refused("InvalidParameterValue.Time", action, StartTime=2, EndTime=1)
        refused("InvalidParameterValue.MaxResult", action, **span, MaxResults=51)
        refused("LimitExceeded.OverAmount", action, **span, LookupAttributes=condition * 11)
        refused("InvalidParameterValue.attributeKey", action, **span, LookupAttributes=[{"AttributeKey": "a", "AttributeValue": "b"}])
        for name in more:
            refused("InvalidParameterValue", action, **span, **{name: "other" if name == "Mode" else 2})
    refused("InvalidParameterValue", "LookUpEvents", **span, NextToken="forged")


def strangers():
    """Whoever may do nothing is told the same by every action."""
    secret = {"SecretName": "one"}
    role = {"RoleArn": "qcs::cam::uin/100000000001:roleName/reader", "RoleSessionName": "by-sdk"}
    span = {"StartTime": 0, "EndTime": 1}
    key = {"AccessKeyId": "AKID" + "x" * 28}
    policy = json.dumps({"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]})
    asked = {
        "AssumeRole": role, "GetFederationToken": {"Name": "bySdk", "Policy": policy}, "GetCallerIdentity": {},
        "CreateAccessKey": {}, "ListAccessKeys": {}, "DeleteAccessKey": key, "UpdateAccessKey": key | {"Status": "Active"},
        "LookUpEvents": span, "DescribeEvents": span, "ListSecrets": {}, "GetRegions": {}, "GetServiceStatus": {},
        "DescribeSupportedProducts": {}, "DescribeAsyncRequestInfo": {"FlowID": 1},
        "CreateService": {"PayMode": "PostPay", "ClientToken": "t"}, "CreateSecret": secret | {"SecretString": "x"},
        "PutSecretValue": secret | {"VersionId": "v5", "SecretString": "x"},
        "UpdateSecret": secret | {"VersionId": "v1", "SecretString": "x"}, "DeleteSecretVersion": secret | {"VersionId": "v1"},
        "UpdateDescription": secret | {"Description": "d"}, "UpdateRotationStatus": secret | {"EnableRotation": False},
        "CreateSSHKeyPairSecret": {"SecretName": "pair", "ProjectId": 0},
        "CreateProductSecret": {
            "SecretName": "db", "UserNamePrefix": "app", "ProductName": "Mysql", "InstanceID": "cdb-1", "Domains": ["%"],
            "PrivilegesList": [{"PrivilegeName": "GlobalPrivileges", "Privileges": ["SELECT"]}],
        },
    }
    for action in OF:
        if action != "AssumeRoleWithWebIdentity":
            refused("UnauthorizedOperation", action, whose=STRANGER, **asked.get(action, secret))


def main():
    secrets()
    ssh_keys()
    service()
    limits()
    sessions()
    if METHOD == "POST" and not os.environ.get("SIGN_METHOD"):
        web_identity()
    else:
        del SHOWN["AssumeRoleWithWebIdentity"]
    access_keys()
    events()
    strangers()
    for action, shown in SHOWN.items():
        models = SERVICES[OF[action]][0]
        published = {name[1:] for name in vars(getattr(models, f"{action}Request")())}
        assert shown["set"] == published, f"{action}: {sorted(published ^ shown['set'])} of its parameters are not shown"
    told = {action: {"taken": sorted(one["taken"]), "refused": sorted(one["set"] - one["taken"]), "errors": sorted(one["errors"])}
            for action, one in SHOWN.items()}
    print(json.dumps(told))


main()
