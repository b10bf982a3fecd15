//! A signature as it stands in the headers: everything that was signed is taken as it was received.
//!
//! What is looked at here depends on no key and no action: the form of the header, the timestamp, the scope. The rest is for
//! `access`, which knows keys.

use super::{ACTION, REGION, TIMESTAMP, TOKEN, VERSION, apis, text};
use crate::access::tc3::{Authorization, Payload, Tc3Request};
use crate::access::{Fault, Presented, Signed, SignedRequest};
use crate::config::Tencent;
use crate::error::{ApiError, Code};
use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use chrono::DateTime;
use zeroize::Zeroizing;

static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-tc-content-sha256");

/// What an Authorization header holds that is no bearer token.
///
/// # Errors
/// `MissingParameter` if there is no timestamp.
pub(super) fn read(http: &HttpRequest, value: &str, settings: &Tencent) -> Result<Presented, Fault> {
    let Some(authorization) = Authorization::parse(value) else { return Ok(Presented::Malformed) };
    let Some(timestamp) = text(http.headers(), &TIMESTAMP) else {
        return Err(Fault::Outer(ApiError::new(Code::MissingParameter, "the header X-TC-Timestamp is missing")));
    };
    let token = text(http.headers(), &TOKEN).map(Zeroizing::new);
    if token.is_none() && http.headers().contains_key(&TOKEN) {
        return Ok(Presented::Malformed);
    }
    let signed = request(http, authorization, timestamp, token.is_some(), settings);
    Ok(signed.map_or(Presented::Malformed, |request| {
        Presented::Signed(Box::new(Signed { request: SignedRequest::Tc3(request), token }))
    }))
}

/// The signed request; none if its scope or its headers are not what they must be.
fn request(
    http: &HttpRequest,
    authorization: Authorization,
    timestamp: String,
    has_token: bool,
    settings: &Tencent,
) -> Option<Tc3Request> {
    let headers = http.headers();
    let covers = |name: &HeaderName| authorization.signed.iter().any(|signed| signed == name.as_str());
    let covers_action = [&ACTION, &VERSION, &REGION].into_iter().all(covers) && (!has_token || covers(&TOKEN));
    if !apis::is_service(&authorization.service) || (settings.require_signed_action && !covers_action) {
        return None;
    }
    let at = timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    if at.is_none_or(|at| at.date_naive().to_string() != authorization.date) {
        return None;
    }
    let value = |name: &String| {
        let mut values = headers.get_all(name.as_str());
        values.next().filter(|_| values.next().is_none()).map(|value| value.as_bytes().trim_ascii().to_vec())
    };
    let values = authorization.signed.iter().map(value).collect::<Option<Vec<_>>>()?;
    let payload = match (http.method() == Method::GET, text(headers, &CONTENT_SHA256).as_deref()) {
        (_, Some("UNSIGNED-PAYLOAD")) if settings.unsigned_payload => Payload::Unsigned,
        (_, Some("UNSIGNED-PAYLOAD")) => return None,
        (true, _) => Payload::Empty,
        (false, _) => Payload::Body,
    };
    Some(Tc3Request {
        authorization,
        timestamp,
        method: http.method().as_str().to_owned(),
        query: if http.method() == Method::GET { http.query_string().as_bytes().to_vec() } else { Vec::new() },
        values,
        payload,
    })
}
