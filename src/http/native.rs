//! The native door: `POST /v1/<Action>` with a JSON object and a bearer token.
//!
//! It refuses what is malformed as HTTP, hands everything else to `access` as a [`Call`] and writes the [`Answer`].
//! A client that hangs up cancels nothing ([`Unstoppable`]); a panic is answered 500 and recorded.

use super::problem;
use super::tls::ClientCertificate;
use super::unstoppable::Unstoppable;
use crate::access::{self, Answer, Body, Call, Fault, Gateway, Presented};
use crate::actions::{self, Action};
use crate::error::{ApiError, Code};
use crate::traces::{Arrival, Outcome, Trace};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The door's name in records and in `keyward:door`.
pub const DOOR: &str = "native";
/// Most bytes of header names and values together.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Longest user agent that is recorded, in bytes.
const USER_AGENT_BYTES_MAX: usize = 128;

// Names of headers that replies carry, read once and not for each reply.
static REQUEST_ID: HeaderName = HeaderName::from_static("keyward-request-id");
static AUDIT_INDEX: HeaderName = HeaderName::from_static("keyward-audit-index");
static AUDIT_LEAF: HeaderName = HeaderName::from_static("keyward-audit-leaf");
static AUDIT_CHECKPOINT: HeaderName = HeaderName::from_static("keyward-audit-checkpoint");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Serves every path that is not one of health, readiness, metrics and OpenAPI.
pub async fn serve(http: HttpRequest, payload: web::Payload, gateway: web::Data<Gateway>) -> HttpResponse {
    let arrival = Arrival::now();
    let gateway = gateway.into_inner();
    let request = match gateway.request_id() {
        Ok(request) => request,
        Err(error) => return write(Answer::unrecorded(error), ""),
    };
    let mut call = head(&http, request.clone());
    // SECURITY: nobody unknown makes the gateway read and hold a body; the pipeline asks for the credential again.
    if call.fault.is_none() {
        call.known = gateway.known(&call.presented).await;
    }
    let trace = arrival.trace(call.known.is_some(), DOOR, || only(http.headers(), &TRACEPARENT)?.to_str().ok());
    trace.name(|| action_name(call.operation.as_deref()));
    if call.known.is_some() {
        match body(payload, &gateway).await {
            Ok(bytes) => call.body = Some(bytes),
            Err(fault) => call.fault = Some(fault),
        }
    } else {
        // One turn for the connection to take in what came along with the head: a body that is not read by the time of
        // the answer ends the connection, and a flood would then be one of connections too.
        tokio::task::yield_now().await;
    }
    let answer = run(gateway, call, &trace).await;
    trace.end(|| outcome(&answer, &request));
    write(answer, &request)
}

/// Answers a call; neither a leaving client nor a panic loses its record.
async fn run(gateway: Arc<Gateway>, call: Call, trace: &Trace) -> Answer {
    let answering = async move {
        let witness = call.witness();
        match AssertUnwindSafe(access::answer(Arc::clone(&gateway), call)).catch_unwind().await {
            Ok(answer) => answer,
            Err(_) => access::record_fault(&gateway, witness).await,
        }
    };
    Unstoppable::new(trace.of(answering)).await
}

/// What a trace calls an operation: the catalogue's name, never the caller's text.
fn action_name(operation: Option<&str>) -> String {
    let bundled = operation.and_then(actions::bundle).and_then(|bundle| actions::row(bundle.of));
    let action = bundled.or_else(|| operation.and_then(actions::by_name));
    action.map_or_else(|| "keyward:Unknown".to_owned(), Action::full_name)
}

fn outcome<'a>(answer: &Answer, request: &'a str) -> Outcome<'a> {
    let error = answer.error().map(|error| error.code);
    Outcome {
        request,
        status: error.map_or(StatusCode::OK, problem::status).as_u16(),
        code: error.map(Code::as_str),
        index: answer.locator().map(|locator| locator.index),
    }
}

/// Everything of a request but its body.
fn head(http: &HttpRequest, request: String) -> Call {
    let headers = http.headers();
    let fault = check_head(http).and_then(|()| check_route(http)).err();
    Call {
        request,
        door: DOOR,
        operation: http.path().strip_prefix("/v1/").map(str::to_owned),
        presented: credential(headers),
        known: None,
        body: None,
        fault,
        peer: http.peer_addr().map(|address| address.ip().to_canonical()),
        user_agent: user_agent(headers),
        certificate: http.conn_data::<ClientCertificate>().map(|shown| shown.0.clone()),
        secure_transport: http.app_config().secure(),
        wants_checkpoint: wants_checkpoint(headers),
    }
}

/// Actions are `POST /v1/<Action>`; there is nothing else.
fn check_route(http: &HttpRequest) -> Result<(), Fault> {
    let operation = http.path().strip_prefix("/v1/");
    if !operation.is_some_and(|name| !name.is_empty() && !name.contains('/')) {
        let message = "there is no such path; actions are `POST /v1/<Action>`";
        return Err(Fault::Inner(ApiError::new(Code::ResourceNotFound, message)));
    };
    if http.method() != Method::POST {
        return Err(Fault::Outer(ApiError::new(Code::UnsupportedProtocol, "actions are called with POST")));
    }
    Ok(())
}

fn check_head(http: &HttpRequest) -> Result<(), Fault> {
    let headers = http.headers();
    let bytes = headers.iter().fold(target_bytes(http.uri()), |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len())
    });
    if bytes > HEADER_BYTES_MAX {
        let message = "request line and headers are over 32768 bytes";
        return Err(Fault::Outer(ApiError::new(Code::HeaderTooLarge, message)));
    }
    if http.method() != Method::POST || !http.path().starts_with("/v1/") {
        return Ok(());
    }
    let invalid = |message: &str| Err(Fault::Inner(ApiError::new(Code::InvalidRequest, message)));
    if !http.query_string().is_empty() {
        return invalid("parameters belong in the body, not in the query");
    }
    if !only(headers, &header::CONTENT_TYPE).is_some_and(is_json) {
        return invalid("the header Content-Type must be `application/json`");
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return invalid("an encoded body is not accepted");
    }
    Ok(())
}

/// Bytes of the request's target, in whichever form it came.
fn target_bytes(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    uri.path_and_query().map_or(0, |target| target.as_str().len()).saturating_add(authority)
}

fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or("");
    text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A header's value, if it stands there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// What the Authorization header holds. SECURITY: the token is taken from nowhere else.
fn credential(headers: &HeaderMap) -> Presented {
    let Some(value) = only(headers, &header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return if headers.contains_key(header::AUTHORIZATION) { Presented::Malformed } else { Presented::Nothing };
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Presented::Bearer(Zeroizing::new(token.to_owned()))
        }
        _ => Presented::Malformed,
    }
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let kept: String = text.chars().filter(|c| !c.is_control()).take(USER_AGENT_BYTES_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

fn wants_checkpoint(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("audit-checkpoint"))
}

/// Reads a body, bounded in size and time.
async fn body(payload: web::Payload, gateway: &Gateway) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let limits = gateway.body_limits();
    let read = payload.to_bytes_limited(limits.bytes);
    let invalid = |message: &str| Err(Fault::Inner(ApiError::new(Code::InvalidRequest, message)));
    match tokio::time::timeout(Duration::from_secs(limits.timeout_s), read).await {
        Err(_) => invalid("the body did not come in time"),
        Ok(Err(_)) => {
            let message = format!("the body is over {} bytes", limits.bytes);
            Err(Fault::Outer(ApiError::new(Code::RequestSizeLimitExceeded, message)))
        }
        Ok(Ok(Err(_))) => invalid("the body is not well-formed HTTP"),
        Ok(Ok(Ok(bytes))) => Ok(Zeroizing::new(bytes.to_vec())),
    }
}

/// Writes an answer in this door's form.
fn write(answer: Answer, request: &str) -> HttpResponse {
    let status = answer.error().map_or(StatusCode::OK, |error| problem::status(error.code));
    let mut response = HttpResponseBuilder::new(status);
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response.insert_header((&REQUEST_ID, request));
    if let Some(locator) = answer.locator() {
        response.insert_header((&AUDIT_INDEX, locator.index.to_string()));
        response.insert_header((&AUDIT_LEAF, access::leaf_text(&locator)));
    }
    if let Some(checkpoint) = answer.checkpoint() {
        response.insert_header((&AUDIT_CHECKPOINT, checkpoint));
        response.insert_header((&PREFERENCE_APPLIED, "audit-checkpoint"));
    }
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    match answer.into_body(request) {
        Body::Json(bytes) => {
            response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
            response.body(bytes)
        }
        Body::Stream(stream) => response.content_type("application/octet-stream").streaming(stream),
    }
}
