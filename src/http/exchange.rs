//! What every door does with HTTP alike: bounds on what is read, the headers of every answer, and a call that neither a leaving
//! client nor a panic takes its record from ([`Unstoppable`], invariant I3).

use super::problem;
use super::unstoppable::Unstoppable;
use crate::access::{self, Answer, Call, Fault, Gateway, Presented, Reply, Unrecorded};
use crate::actions::{self, Action};
use crate::error::{ApiError, Code};
use crate::traces::{Arrival, Outcome};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Uri};
use actix_web::{HttpRequest, HttpResponseBuilder, web};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

/// Most bytes of request line, header names and values together.
const HEADER_BYTES_MAX: usize = 32 * 1024;

// Names of headers that replies carry, read once and not for each reply.
static REQUEST_ID: HeaderName = HeaderName::from_static("keyward-request-id");
static AUDIT_INDEX: HeaderName = HeaderName::from_static("keyward-audit-index");
static AUDIT_LEAF: HeaderName = HeaderName::from_static("keyward-audit-leaf");
/// By which a caller's own trace goes on here (W3C Trace Context).
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Answers a call of whose request the head was read; `parameters` reads the rest.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    call: Call,
    http: &HttpRequest,
    arrival: Arrival,
    parameters: impl Future<Output = Result<Zeroizing<Vec<u8>>, Fault>>,
) -> Answer {
    let mut parameters = Some(parameters);
    let witness = call.witness();
    let mut awaited = Awaited { gateway: Arc::clone(gateway), call: None };
    let call = awaited.call.insert(call);
    if AssertUnwindSafe(identify(gateway, call, &mut parameters)).catch_unwind().await.is_err() {
        awaited.call = None;
        let gateway = Arc::clone(gateway);
        return Unstoppable::new(async move { access::record_fault(&gateway, witness).await }).await;
    }
    let parent = || only(http.headers(), &TRACEPARENT)?.to_str().ok();
    let trace = arrival.trace(call.known.is_some(), call.door, parent);
    trace.name(|| action_name(call.operation.as_deref()));
    if call.known.is_some() {
        read(call, parameters.take()).await;
    } else {
        // One turn for the connection to take in what came along with the head: a body that is not read by the time of
        // the answer ends the connection, and a flood would then be one of connections too.
        tokio::task::yield_now().await;
    }
    let request = call.request.clone();
    let Some(call) = awaited.call.take() else { return Answer::unrecorded(Unrecorded::Store) };
    let answer = Unstoppable::new(trace.of(run(Arc::clone(gateway), call))).await;
    trace.end(|| outcome(&answer, &request));
    answer
}

/// A call whose body is waited for.
///
/// INVARIANT I3: a good token is met with silence then and a bad one with an answer, so that whoever leaves now has learnt
/// something, and leaves its record.
struct Awaited {
    gateway: Arc<Gateway>,
    call: Option<Call>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let (Some(mut call), Ok(runtime)) = (self.call.take(), Handle::try_current()) else { return };
        call.body = None;
        call.fault.get_or_insert_with(|| Fault::Inner(ApiError::new(Code::InvalidRequest, "the body did not come")));
        runtime.spawn(run(Arc::clone(&self.gateway), call));
    }
}

/// Finds out who asks, as far as can be known before the request is decided.
async fn identify(
    gateway: &Arc<Gateway>,
    call: &mut Call,
    parameters: &mut Option<impl Future<Output = Result<Zeroizing<Vec<u8>>, Fault>>>,
) {
    // SECURITY: nobody unknown makes the gateway read and hold a body; the pipeline asks for the credential again. Where the
    // body says who asks, or is signed, the door bounds it further.
    if gateway.is_known_by_body(call) {
        read(call, parameters.take()).await;
        gateway.take_web_identity(call);
    }
    match call.presented {
        Presented::Signed(_) => gateway.check_signature(call),
        _ if call.fault.is_none() => call.known = gateway.known(&call.presented).await,
        _ => {}
    }
    // SECURITY: what somebody unknown asks for is not parsed, even where it had to be read.
    if call.known.is_none() {
        call.body = None;
    }
}

/// Reads the parameters, unless they were read.
async fn read(call: &mut Call, parameters: Option<impl Future<Output = Result<Zeroizing<Vec<u8>>, Fault>>>) {
    let Some(parameters) = parameters else { return };
    match parameters.await {
        Ok(bytes) => call.body = Some(bytes),
        Err(fault @ Fault::Outer(_)) => call.fault = Some(fault),
        Err(fault) => {
            call.fault.get_or_insert(fault);
        }
    }
}

/// Answers a call, which a panic takes no record from.
async fn run(gateway: Arc<Gateway>, call: Call) -> Answer {
    let witness = call.witness();
    match AssertUnwindSafe(access::answer(Arc::clone(&gateway), call)).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => access::record_fault(&gateway, witness).await,
    }
}

/// What a trace calls an operation: the catalogue's name, never the caller's text.
fn action_name(operation: Option<&str>) -> String {
    operation.and_then(actions::asked_for).map_or_else(|| "keyward:Unknown".to_owned(), Action::full_name)
}

/// The status is that of the native door.
fn outcome<'a>(answer: &Answer, request: &'a str) -> Outcome<'a> {
    let error = answer.error().map(|error| error.code);
    Outcome {
        request,
        status: error.map_or(StatusCode::OK, problem::status).as_u16(),
        code: error.map(Code::as_str),
        index: answer.locator().map(|locator| locator.index),
    }
}

/// Whether request line and headers are within their bound.
///
/// # Errors
/// `RequestSizeLimitExceeded.HeaderTooLarge`, told to everybody.
pub(super) fn check_size(http: &HttpRequest) -> Result<(), Fault> {
    let bytes = http.headers().iter().fold(target_bytes(http.uri()), |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len())
    });
    if bytes > HEADER_BYTES_MAX {
        let message = "request line and headers are over 32768 bytes";
        return Err(Fault::Outer(ApiError::new(Code::HeaderTooLarge, message)));
    }
    Ok(())
}

/// Bytes of the request's target, in whichever form it came.
fn target_bytes(uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    uri.path_and_query().map_or(0, |target| target.as_str().len()).saturating_add(authority)
}

/// Whether the one Content-Type is JSON, with any parameters.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let text = only(headers, &header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A header's value, if it stands there exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// The token of an Authorization header of the form `Bearer <token>`.
pub(super) fn bearer(value: &str) -> Option<Zeroizing<String>> {
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    is_bearer.then(|| Zeroizing::new(token.to_owned()))
}

/// How the caller's program names itself, in the first of these headers that is there.
pub(super) fn user_agent(headers: &HeaderMap, names: &[HeaderName]) -> Option<String> {
    program(names.iter().find_map(|name| headers.get(name)?.to_str().ok())?)
}

/// A program's name without control characters. Its record shortens it.
pub(super) fn program(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control()).collect();
    (!kept.is_empty()).then_some(kept)
}

/// Reads a body of at most `bytes_max` bytes, bounded in time.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn body(
    payload: web::Payload,
    bytes_max: usize,
    gateway: &Gateway,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let limits = gateway.body_limits();
    let read = payload.to_bytes_limited(bytes_max);
    let invalid = |message: &str| Err(Fault::Inner(ApiError::new(Code::InvalidRequest, message)));
    match tokio::time::timeout(Duration::from_secs(limits.timeout_s), read).await {
        Err(_) => invalid("the body did not come in time"),
        Ok(Err(_)) => {
            let message = format!("the body is over {bytes_max} bytes");
            Err(Fault::Outer(ApiError::new(Code::RequestSizeLimitExceeded, message)))
        }
        Ok(Ok(Err(_))) => invalid("the body is not well-formed HTTP"),
        Ok(Ok(Ok(bytes))) => Ok(Zeroizing::new(bytes.to_vec())),
    }
}

/// The headers of every answer: that nobody keeps it, its request id, and where its record is.
pub(super) fn say_where(response: &mut HttpResponseBuilder, reply: &Reply, request: &str) {
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response.insert_header((&REQUEST_ID, request));
    if let Some(locator) = &reply.locator {
        response.insert_header((&AUDIT_INDEX, locator.index.to_string()));
        response.insert_header((&AUDIT_LEAF, access::leaf_text(locator)));
    }
}
