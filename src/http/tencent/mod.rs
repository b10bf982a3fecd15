//! The door of Tencent Cloud's API 3.0: `POST /` with a JSON object, or `GET /?...`, and the action in `X-TC-Action`, as the
//! vendor's SDKs and tccli send it.
//!
//! It translates and decides nothing: every request is a [`Call`] like one of the native door, of the same catalogue. Answers are
//! always 200 and exactly `application/json`, since the Python SDK loses an error that comes in any other form.
//!
//! INVARIANT I3: what it finds wrong is a fault of the call, which `access` records or counts. Before the credential is known to
//! be good, nothing that is answered depends on the action. A client that hangs up cancels nothing ([`exchange::answer`]).

mod apis;
mod messages;
mod query;
mod signed;
mod v1;

use super::exchange::{self, only};
use super::tls::{ClientCertificate, SecureTransport};
use crate::access::{Answer, Body, Call, Dialect, Fault, Gateway, Presented, SignedRequest};
use crate::config::Tencent;
use crate::error::{ApiError, Code};
use crate::traces::Arrival;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Resource, web};
use messages::Language;
use std::time::Duration;
use zeroize::Zeroizing;

/// The door's name in records and in `keyward:door`.
const DOOR: &str = "tencent";
/// Longest trace id of a client that is recorded, in characters.
const TRACE_CHARACTERS_MAX: usize = 64;
/// Most bytes of a body that shows a web identity: a token of 16 KiB, and a session policy.
const IDENTITY_BYTES_MAX: usize = 32 * 1024;
/// The one action that is asked for without a signature, by a token among its parameters.
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
/// How long an answer that asks to slow down is held back: the SDKs repeat it at once, and then forget that they succeeded.
const THROTTLE_PAUSE: Duration = Duration::from_millis(200);

static ACTION: HeaderName = HeaderName::from_static("x-tc-action");
static VERSION: HeaderName = HeaderName::from_static("x-tc-version");
static REGION: HeaderName = HeaderName::from_static("x-tc-region");
static TIMESTAMP: HeaderName = HeaderName::from_static("x-tc-timestamp");
static TOKEN: HeaderName = HeaderName::from_static("x-tc-token");
static LANGUAGE: HeaderName = HeaderName::from_static("x-tc-language");
static CLIENT: HeaderName = HeaderName::from_static("x-tc-requestclient");
static TRACE: HeaderName = HeaderName::from_static("x-tc-traceid");

/// The door's one path. Whatever else it is served beside keeps all others.
pub fn route(settings: Tencent) -> Resource {
    web::resource("/").app_data(web::Data::new(settings)).to(serve)
}

async fn serve(
    http: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
    settings: web::Data<Tencent>,
) -> HttpResponse {
    let arrival = Arrival::now();
    let gateway = gateway.into_inner();
    let said = Said::of_headers(http.headers());
    let language = Language::of(said.language.as_deref());
    let request = match gateway.request_id() {
        Ok(request) => request,
        Err(error) => return write(Answer::unrecorded(error), "", language),
    };
    let (answer, language) = if v1::is_one(&http, &settings) {
        v1::answer(&gateway, &http, payload, arrival, request.clone(), &settings).await
    } else {
        let call = call(&http, request.clone(), &said, credential(&http, &settings), gateway.region(), &settings);
        let parameters = parameters(&http, payload, &gateway, Reading::of(&call.presented, &gateway));
        (exchange::answer(&gateway, call, &http, arrival, parameters).await, language)
    };
    let throttled = [Code::RequestLimitExceeded, Code::UinLimitExceeded];
    if answer.error().is_some_and(|error| throttled.contains(&error.code)) {
        tokio::time::sleep(THROTTLE_PAUSE).await;
    }
    write(answer, &request, language)
}

/// The parameters, as a JSON object: the body, or of a GET the query.
async fn parameters(
    http: &HttpRequest,
    payload: web::Payload,
    gateway: &Gateway,
    reading: Reading,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if http.method() == Method::GET {
        return query::to_json(http.query_string()).map_err(Fault::Inner);
    }
    match exchange::body(payload, reading.bytes_max, gateway).await {
        // Without it nobody is known: what is wrong with it is told to everybody.
        Err(Fault::Inner(error)) if reading.says_who => Err(Fault::Outer(error)),
        read => read,
    }
}

/// How a body is read.
struct Reading {
    bytes_max: usize,
    /// Whether it says who asks, or is signed.
    says_who: bool,
}

impl Reading {
    fn of(presented: &Presented, gateway: &Gateway) -> Self {
        let bytes_max = gateway.body_limits().bytes;
        match presented {
            Presented::Signed(_) => Self { bytes_max, says_who: true },
            Presented::InBody => Self { bytes_max: bytes_max.min(IDENTITY_BYTES_MAX), says_who: true },
            _ => Self { bytes_max, says_who: false },
        }
    }
}

/// What a request says of itself: in headers, or with an older signature among its parameters.
struct Said {
    action: Option<String>,
    version: Option<String>,
    region: Option<String>,
    language: Option<String>,
    client: Option<String>,
}

impl Said {
    fn of_headers(headers: &HeaderMap) -> Self {
        let text = |name| text(headers, name);
        Self {
            action: text(&ACTION),
            version: text(&VERSION),
            region: text(&REGION),
            language: text(&LANGUAGE),
            client: None,
        }
    }
}

/// Everything of a request but its parameters.
fn call(
    http: &HttpRequest,
    request: String,
    said: &Said,
    presented: Result<Presented, Fault>,
    region: &str,
    settings: &Tencent,
) -> Call {
    let headers = http.headers();
    let fault = match (check_head(http), &presented) {
        (Err(fault), _) => Some(fault),
        (Ok(()), Err(fault)) => Some(fault.clone()),
        (Ok(()), Ok(presented)) => check_request(http, said, presented, region, settings).err().map(Fault::Inner),
    };
    let client = said.client.as_deref().and_then(exchange::program);
    Call {
        request,
        door: DOOR,
        operation: said.action.clone().filter(|action| apis::has(action)),
        presented: presented.unwrap_or(Presented::Malformed),
        known: None,
        body: None,
        fault,
        peer: http.peer_addr().map(|address| address.ip().to_canonical()),
        user_agent: client.or_else(|| exchange::user_agent(headers, &[CLIENT.clone(), header::USER_AGENT])),
        certificate: http.conn_data::<ClientCertificate>().map(|shown| shown.0.clone()),
        secure_transport: http.conn_data::<SecureTransport>().is_some(),
        wants_checkpoint: false,
        dialect: Dialect::Tencent,
        trace: trace(headers),
    }
}

/// A header's text, if the header stands there exactly once and is not empty.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = only(headers, name)?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// What is told to everybody: size, method, and headers of which nobody could say which one counts.
fn check_head(http: &HttpRequest) -> Result<(), Fault> {
    exchange::check_size(http)?;
    let outer = |code, message: &str| Err(Fault::Outer(ApiError::new(code, message)));
    if ![Method::GET, Method::POST].contains(http.method()) {
        return outer(Code::UnsupportedProtocol, "actions are called with POST or GET");
    }
    let headers = http.headers();
    let is_repeated = |name: &HeaderName| headers.get_all(name).nth(1).is_some();
    if [header::HOST, header::CONTENT_TYPE].iter().any(is_repeated) {
        return outer(Code::InvalidAuthorization, "the headers Host and Content-Type may stand there once");
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-tc-") && is_repeated(name)) {
        return outer(Code::InvalidParameter, "a header X-TC-... stands there twice");
    }
    if text(headers, &TIMESTAMP).is_some_and(|stamp| stamp.len() > 18 || !stamp.bytes().all(|b| b.is_ascii_digit())) {
        return outer(Code::InvalidParameter, "the header X-TC-Timestamp must be seconds since 1970 in decimal digits");
    }
    Ok(())
}

/// What is told to callers with a good credential only, in this order: version, action, region, form.
fn check_request(
    http: &HttpRequest,
    said: &Said,
    presented: &Presented,
    region: &str,
    settings: &Tencent,
) -> Result<(), ApiError> {
    let headers = http.headers();
    let (service, is_form) = match presented {
        Presented::Signed(signed) => (signed.request.service(), matches!(signed.request, SignedRequest::V1(_))),
        _ => (None, false),
    };
    let missing = |name: &str| {
        let place = if is_form { "the parameter " } else { "the header X-TC-" };
        ApiError::new(Code::MissingParameter, format!("{place}{name} is missing"))
    };
    let action = said.action.as_deref().ok_or_else(|| missing("Action"))?;
    let version = said.version.as_deref().ok_or_else(|| missing("Version"))?;
    apis::check(service, version, action)?;
    if said.region.as_deref().is_some_and(|asked| asked != region) {
        let message = format!("this gateway serves the region `{region}` and no other");
        return Err(ApiError::new(Code::UnsupportedRegion, message));
    }
    if http.method() == Method::GET {
        if apis::carries_value(action) && !settings.values_over_get {
            let message = "values are not taken over GET, where proxies log them; use POST";
            return Err(ApiError::new(Code::UnsupportedOperation, message));
        }
        return Ok(());
    }
    let invalid = |message: &str| Err(ApiError::new(Code::InvalidRequest, message));
    if !http.query_string().is_empty() {
        return invalid("parameters of a POST belong in the body, not in the query");
    }
    if !is_form && !exchange::is_json(headers) {
        return invalid("the header Content-Type must be `application/json`");
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return invalid("an encoded body is not accepted");
    }
    Ok(())
}

/// What the Authorization header holds. SECURITY: the credential is taken from nowhere else.
fn credential(http: &HttpRequest, settings: &Tencent) -> Result<Presented, Fault> {
    let headers = http.headers();
    let Some(value) = only(headers, &header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        let is_there = headers.contains_key(header::AUTHORIZATION);
        return Ok(if is_there { Presented::Malformed } else { Presented::Nothing });
    };
    let asks_by_identity = text(headers, &ACTION).is_some_and(|action| action == WEB_IDENTITY);
    match (value, asks_by_identity) {
        // Its token stands in the body, where nothing else vouches for it: nobody else asks for it here.
        ("SKIP", true) if http.method() == Method::POST && !headers.contains_key(&TOKEN) => Ok(Presented::InBody),
        ("SKIP", _) | (_, true) => Ok(Presented::Malformed),
        _ => match exchange::bearer(value) {
            Some(token) => Ok(Presented::Bearer(token)),
            None => signed::read(http, value, settings),
        },
    }
}

/// The client's own id of the request: recorded as what it claims, and never used as the request's id.
fn trace(headers: &HeaderMap) -> Option<String> {
    let text = text(headers, &TRACE)?;
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(TRACE_CHARACTERS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

/// Writes an answer in this door's form: 200, whatever it is.
fn write(answer: Answer, request: &str, language: Language) -> HttpResponse {
    let reply = answer.into_reply(request, Dialect::Tencent, |error| language.say(error));
    let mut response = HttpResponseBuilder::new(StatusCode::OK);
    exchange::say_where(&mut response, &reply, request);
    match reply.body {
        Body::Json(bytes) => {
            response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
            response.body(bytes)
        }
        Body::Stream(stream) => response.content_type("application/octet-stream").streaming(stream),
    }
}
