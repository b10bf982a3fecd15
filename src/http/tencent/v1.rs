//! Requests by the vendor's older signatures: no Authorization header, and everything in one form, or in the query of a GET: what
//! is asked, who asks, and the signature over both.
//!
//! Who sends one is known only when all of it was read. So it is off unless switched on, and bounded as a signed body is.

use super::messages::Language;
use super::query::{self, Pairs};
use super::{Said, call};
use crate::access::v1::{V1Hash, V1Request};
use crate::access::{Answer, Fault, Gateway, Presented, Signed, SignedRequest};
use crate::config::Tencent;
use crate::error::{ApiError, Code};
use crate::http::exchange;
use crate::traces::Arrival;
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, web};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What is not a parameter of the action.
const COMMON: [&str; 11] = [
    "Action",
    "Language",
    "Nonce",
    "Region",
    "RequestClient",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "Token",
    "Version",
];

/// Whether a request may be one of these, by its head.
pub(super) fn is_one(http: &HttpRequest, settings: &Tencent) -> bool {
    let is_on = settings.hmac_sha256 || settings.hmac_sha1;
    is_on && !http.headers().contains_key(header::AUTHORIZATION) && (is_form(http) || is_signed_query(http))
}

fn is_form(http: &HttpRequest) -> bool {
    let kind = exchange::only(http.headers(), &header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    http.method() == Method::POST && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_signed_query(http: &HttpRequest) -> bool {
    http.method() == Method::GET && http.query_string().split('&').any(|pair| pair.starts_with("Signature="))
}

/// Reads a request and answers it, in the language that it asks for.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    http: &HttpRequest,
    payload: web::Payload,
    arrival: Arrival,
    request: String,
    settings: &Tencent,
) -> (Answer, Language) {
    let pairs = read(http, payload, gateway).await;
    let said = pairs.as_ref().map_or_else(|_| Said::nothing(), Said::of_pairs);
    let presented = pairs.as_ref().map_err(Clone::clone).map(|pairs| credential(http, pairs, settings));
    let language = Language::of(said.language.as_deref());
    let call = call(http, request, &said, presented, gateway.region(), settings);
    let parameters = async move {
        let mut pairs = pairs?;
        pairs.retain(|name, _| !COMMON.contains(&name.as_str()));
        query::of_pairs(&pairs).map_err(Fault::Inner)
    };
    (exchange::answer(gateway, call, http, arrival, parameters).await, language)
}

/// All of the form. What is wrong with it is told to everybody: nobody is known without it.
async fn read(http: &HttpRequest, payload: web::Payload, gateway: &Gateway) -> Result<Pairs, Fault> {
    if http.method() == Method::GET {
        return query::pairs(http.query_string()).map_err(Fault::Outer);
    }
    let body = exchange::body(payload, gateway.body_limits().bytes, gateway).await.map_err(outer)?;
    let text = std::str::from_utf8(&body);
    let text = text.map_err(|_| Fault::Outer(ApiError::new(Code::InvalidParameter, "the form is not UTF-8")))?;
    query::pairs(text).map_err(Fault::Outer)
}

fn outer(fault: Fault) -> Fault {
    match fault {
        Fault::Inner(error) | Fault::Outer(error) => Fault::Outer(error),
    }
}

/// The signature, if it is of a kind that is switched on.
fn credential(http: &HttpRequest, pairs: &Pairs, settings: &Tencent) -> Presented {
    let host = exchange::only(http.headers(), &header::HOST).map_or(b"".as_slice(), |host| host.as_bytes());
    let signed = V1Request::read(http.method().as_str(), host, pairs).filter(|signed| match signed.hash {
        V1Hash::Sha256 => settings.hmac_sha256,
        V1Hash::Sha1 => settings.hmac_sha1,
    });
    let token = pairs.get("Token").map(|token| Zeroizing::new(token.to_string()));
    signed.map_or(Presented::Malformed, |signed| {
        Presented::Signed(Box::new(Signed { request: SignedRequest::V1(signed), token }))
    })
}

impl Said {
    const fn nothing() -> Self {
        Self { action: None, version: None, region: None, language: None, client: None }
    }

    fn of_pairs(pairs: &Pairs) -> Self {
        let text = |name: &str| pairs.get(name).map(|text| text.to_string()).filter(|text| !text.is_empty());
        Self {
            action: text("Action"),
            version: text("Version"),
            region: text("Region"),
            language: text("Language"),
            client: text("RequestClient"),
        }
    }
}
