// A program written from the documentation of Tencent Cloud's Node SDK for SSM, over TLS.
//
// Where it runs is said by the endpoint and by an agent, which the SDK documents: the agent looks the endpoint's name up on
// this machine, since not every system resolves names below localhost. The authority is NODE_EXTRA_CA_CERTS.
import assert from "node:assert/strict";
import https from "node:https";
import { ssm } from "tencentcloud-sdk-nodejs-ssm";

const here = { address: "127.0.0.1", family: 4 };
const agent = new https.Agent({
  keepAlive: true,
  lookup: (_name, options, found) => (options.all ? found(null, [here]) : found(null, here.address, here.family)),
});
const client = new ssm.v20190923.Client({
  credential: {
    secretId: process.env.TENCENTCLOUD_SECRET_ID,
    secretKey: process.env.TENCENTCLOUD_SECRET_KEY,
  },
  region: process.env.TENCENTCLOUD_REGION,
  profile: { language: "en-US", httpProfile: { endpoint: process.env.SSM_ENDPOINT, agent } },
});

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, error.message);
    assert.ok(error.requestId);
    return true;
  });
}

const SecretName = "node-demo";
const made = await client.CreateSecret({ SecretName, VersionId: "v1", SecretString: "first", Tags: [{ TagKey: "env", TagValue: "test" }] });
assert.deepEqual([made.SecretName, made.VersionId], [SecretName, "v1"]);
await refused("ResourceInUse.SecretExists", () => client.CreateSecret({ SecretName, VersionId: "v1", SecretString: "again" }));
assert.equal((await client.GetSecretValue({ SecretName, VersionId: "v1" })).SecretString, "first");

await client.PutSecretValue({ SecretName, VersionId: "v2", SecretString: "zweite ÄÖÜ 第二" });
assert.equal((await client.GetSecretValue({ SecretName, VersionId: "v2" })).SecretString, "zweite ÄÖÜ 第二");
const binary = Buffer.from([0, 1, 254, 255]).toString("base64");
await client.PutSecretValue({ SecretName, VersionId: "v3", SecretBinary: binary });
assert.equal((await client.GetSecretValue({ SecretName, VersionId: "v3" })).SecretBinary, binary);

const listed = await client.ListSecrets({ TagFilters: [{ TagKey: "env", TagValue: ["test"] }] });
assert.deepEqual([listed.TotalCount, listed.SecretMetadatas[0].SecretName], [1, SecretName]);
assert.equal((await client.ListSecretVersionIds({ SecretName })).Versions.length, 3);

await client.DisableSecret({ SecretName });
await refused("ResourceUnavailable.ResourceDisabled", () => client.GetSecretValue({ SecretName, VersionId: "v2" }));
assert.ok((await client.DeleteSecret({ SecretName, RecoveryWindowInDays: 7 })).DeleteTime > 0);
await client.RestoreSecret({ SecretName });
await client.EnableSecret({ SecretName });
assert.equal((await client.DescribeSecret({ SecretName })).Status, "Enabled");
agent.destroy();
console.log("the SDK's program is done");
