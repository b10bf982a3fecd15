//! The secrets of another endpoint of Tencent Cloud's API 3.0, read as its SDKs read them: signed by an access key
//! (TC3-HMAC-SHA256), over POST.

use crate::cli::Failure;
use crate::cli::client::{only_trusting, over_network};
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward_audit::Clock;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The vendor's variables, as its SDKs read them.
const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
const TOKEN: &str = "TENCENTCLOUD_TOKEN";
const METHOD: &str = "TC3-HMAC-SHA256";
const VERSION: &str = "2019-09-23";
/// The vendor's kinds of secrets: 0 of the user's own making, 1 database accounts, 2 SSH keys, 3 cloud keys, 4 Redis accounts.
const TYPES: std::ops::RangeInclusive<u64> = 0..=4;
/// Secrets that are asked for at a time.
const PAGE: u64 = 100;

/// An access key.
struct Key {
    id: String,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

/// Another endpoint.
pub(super) struct Source {
    http: reqwest::Client,
    url: reqwest::Url,
    region: Option<String>,
    key: Key,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Runtime,
}

/// What is said of a secret there.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) secret_name: String,
    #[serde(default)]
    pub(super) status: String,
    /// 0: of the user's own making.
    #[serde(default)]
    pub(super) secret_type: u64,
}

/// A value that was read; the other of the two texts is empty.
pub(super) struct Copied {
    pub(super) text: Zeroizing<String>,
    /// Base64.
    pub(super) binary: Zeroizing<String>,
}

/// The endpoint said no.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message} (request {request})")]
pub(super) struct SourceError {
    pub(super) code: String,
    message: String,
    request: String,
}

/// How a call failed.
pub(super) enum CallError {
    /// The endpoint answered, and said no.
    Said(SourceError),
    /// There was no answer that could be read.
    Failed(anyhow::Error),
}

impl Source {
    /// The endpoint at `endpoint`, with the key of the vendor's variables.
    pub(super) fn new(
        endpoint: &str,
        region: Option<String>,
        cacert: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let builder = over_network(endpoint).map_err(|error| Failure::Usage(error.to_string()))?;
        let builder = match cacert {
            Some(file) => only_trusting(builder, file)?,
            None => builder,
        };
        let url = reqwest::Url::parse(endpoint).map_err(|error| Failure::Usage(format!("`{endpoint}`: {error}")))?;
        if url.path() != "/" || url.query().is_some() {
            return Err(Failure::Usage(format!("`{endpoint}` is an address without a path")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { http: builder.build()?, url, region, key: Key::of_environment()?, clock, runtime })
    }

    /// Every secret, by kind, in the order in which they were made.
    pub(super) fn list(&self) -> Result<Vec<Listed>, CallError> {
        let mut all = Vec::new();
        for kind in TYPES {
            match self.list_kind(kind) {
                Ok(listed) => all.extend(listed),
                // A kind that the endpoint does not have.
                Err(CallError::Said(said)) if kind > 0 && said.code.starts_with("InvalidParameter") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn list_kind(&self, kind: u64) -> Result<Vec<Listed>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Page {
            total_count: u64,
            #[serde(default)]
            secret_metadatas: Vec<Listed>,
        }
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let offset = u64::try_from(all.len()).unwrap_or(u64::MAX);
            let page: Page = self
                .call("ListSecrets", &json!({"Offset": offset, "Limit": PAGE, "OrderType": 1, "SecretType": kind}))?;
            let is_last = page.secret_metadatas.is_empty();
            all.extend(page.secret_metadatas);
            if is_last || u64::try_from(all.len()).is_ok_and(|count| count >= page.total_count) {
                return Ok(all);
            }
        }
    }

    /// A secret's description.
    pub(super) fn description(&self, name: &str) -> Result<String, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Described {
            #[serde(default)]
            description: String,
        }
        let described: Described = self.call("DescribeSecret", &json!({"SecretName": name}))?;
        Ok(described.description)
    }

    /// The ids of a secret's versions, oldest first.
    pub(super) fn versions(&self, name: &str) -> Result<Vec<String>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Version {
            version_id: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Versions {
            #[serde(default)]
            versions: Vec<Version>,
        }
        let listed: Versions = self.call("ListSecretVersionIds", &json!({"SecretName": name}))?;
        Ok(listed.versions.into_iter().rev().map(|version| version.version_id).collect())
    }

    /// A version's value.
    pub(super) fn value(&self, name: &str, version: &str) -> Result<Copied, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Read {
            #[serde(default)]
            secret_string: Option<String>,
            #[serde(default)]
            secret_binary: Option<String>,
        }
        let read: Read = self.call("GetSecretValue", &json!({"SecretName": name, "VersionId": version}))?;
        let whole = |text: Option<String>| Zeroizing::new(text.unwrap_or_default());
        Ok(Copied { text: whole(read.secret_string), binary: whole(read.secret_binary) })
    }

    fn call<T: for<'a> Deserialize<'a>>(&self, action: &str, parameters: &Value) -> Result<T, CallError> {
        let body = parameters.to_string();
        let headers = self.headers(action, &body).map_err(CallError::Failed)?;
        let request = self.http.post(self.url.clone()).headers(headers).body(body);
        let answer = self.runtime.block_on(async {
            let response = request.send().await?.error_for_status()?;
            anyhow::Ok(Zeroizing::new(response.bytes().await?.to_vec()))
        });
        let answer = answer.map_err(|error| CallError::Failed(anyhow!("`{}` did not answer: {error}", self.url)))?;
        read_answer(&answer)
    }

    /// The headers of a request, signed.
    fn headers(&self, action: &str, body: &str) -> anyhow::Result<HeaderMap> {
        let seconds = i64::try_from(self.clock.wall_us() / 1_000_000)?;
        let at = DateTime::from_timestamp(seconds, 0).ok_or_else(|| anyhow!("the clock shows no date"))?;
        let host = match (self.url.host_str().unwrap_or_default(), self.url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let mut authorization = HeaderValue::from_str(&self.key.authorization(at, &host, body))?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: HeaderValue| headers.insert(HeaderName::from_static(name), value);
        add("authorization", authorization);
        add(CONTENT_TYPE.as_str(), HeaderValue::from_static("application/json"));
        add("x-tc-action", HeaderValue::from_str(action)?);
        add("x-tc-version", HeaderValue::from_static(VERSION));
        add("x-tc-timestamp", HeaderValue::from(seconds));
        add("x-tc-language", HeaderValue::from_static("en-US"));
        if let Some(region) = &self.region {
            add("x-tc-region", HeaderValue::from_str(region)?);
        }
        if let Some(token) = &self.key.token {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            add("x-tc-token", token);
        }
        Ok(headers)
    }
}

/// What an answer holds, or why it holds nothing.
fn read_answer<T: for<'a> Deserialize<'a>>(answer: &[u8]) -> Result<T, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Said {
        code: String,
        message: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Response<T> {
        error: Option<Said>,
        #[serde(default)]
        request_id: String,
        #[serde(flatten)]
        fields: Option<T>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<T> {
        response: Response<T>,
    }
    // SECURITY: what does not parse is not quoted; it may hold a value.
    let unread = || CallError::Failed(anyhow!("the endpoint's answer is not in the form of Tencent Cloud's API 3.0"));
    let Answer { response } = serde_json::from_slice::<Answer<T>>(answer).map_err(|_| unread())?;
    if let Some(Said { code, message }) = response.error {
        return Err(CallError::Said(SourceError { code, message, request: response.request_id }));
    }
    response.fields.ok_or_else(unread)
}

impl Key {
    fn of_environment() -> Result<Self, Failure> {
        let of = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let needed = |name: &str| {
            of(name).ok_or_else(|| {
                Failure::Usage(format!(
                    "no key for the endpoint to import from: set {SECRET_ID} and {SECRET_KEY} (and {TOKEN} with a \
                     temporary key)"
                ))
            })
        };
        let (id, secret) = (needed(SECRET_ID)?, Zeroizing::new(needed(SECRET_KEY)?));
        Ok(Self { id, secret, token: of(TOKEN).map(Zeroizing::new) })
    }

    /// The header Authorization of a POST with this body.
    fn authorization(&self, at: DateTime<Utc>, host: &str, body: &str) -> String {
        let (stamp, date) = (at.timestamp(), at.format("%Y-%m-%d").to_string());
        let payload = hex::encode(Sha256::digest(body));
        let canonical =
            format!("POST\n/\n\ncontent-type:application/json\nhost:{host}\n\ncontent-type;host\n{payload}");
        let scope = format!("{date}/ssm/tc3_request");
        let text = format!("{METHOD}\n{stamp}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let start = Zeroizing::new(format!("TC3{}", self.secret.as_str()));
        let date = mac(start.as_bytes(), &date);
        let signing = mac(&mac(&date, "ssm"), "tc3_request");
        let signature = hex::encode(mac(&signing, &text));
        format!("{METHOD} Credential={}/{scope}, SignedHeaders=content-type;host, Signature={signature}", self.id)
    }
}

fn mac(key: &[u8], text: &str) -> Zeroizing<Vec<u8>> {
    // HMAC takes a key of any length; none at all never comes here.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Zeroizing::default() };
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 4 of the vectors that the door's own tests hold.
    #[test]
    fn a_request_is_signed_as_the_vector_has_it() {
        let key = Key {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Zeroizing::new("EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0".to_owned()),
            token: None,
        };
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let header = key.authorization(at, "127.0.0.1:8743", r#"{"SecretName": "demo", "VersionId": "v1"}"#);
        let expected = "TC3-HMAC-SHA256 Credential=AKIDEXAMPLE/2027-01-15/ssm/tc3_request, SignedHeaders=content-type;host, \
                        Signature=8594f8742622a28edd2ead39c79699df5155d9485dcaa469839bad074354951b";
        assert_eq!(header, expected);
    }

    #[test]
    fn an_answer_is_read_or_its_error_is_said_and_nothing_of_it_is_quoted() {
        let good = br#"{"Response":{"SecretName":"a","Status":"Enabled","RequestId":"r"}}"#;
        let listed: Listed = read_answer(good).unwrap_or_else(|_| panic!("it is good"));
        assert_eq!(listed, Listed { secret_name: "a".to_owned(), status: "Enabled".to_owned(), secret_type: 0 });
        let said = br#"{"Response":{"Error":{"Code":"C","Message":"M"},"RequestId":"r"}}"#;
        let Err(CallError::Said(error)) = read_answer::<Listed>(said) else { panic!("it is an error") };
        assert_eq!(error.to_string(), "C: M (request r)");
        for other in [&b"s3cret"[..], br#"{"Response":{"s3cret":1}}"#, br#"{"Response":"s3cret"}"#, b"{}"] {
            let Err(CallError::Failed(error)) = read_answer::<Listed>(other) else { panic!("it is none") };
            assert!(!format!("{error:?}").contains("s3cret"));
        }
    }
}
