//! The native door: `POST /v1/<Action>` with a JSON object and a bearer token.
//!
//! It refuses what is malformed as HTTP, hands everything else to `access` as a [`Call`] and writes the [`Answer`].
//! A client that hangs up cancels nothing ([`exchange::answer`]); a panic is answered 500 and recorded.

use super::exchange::{self, only};
use super::problem;
use super::tls::{ClientCertificate, SecureTransport};
use crate::access::{Answer, Body, Call, Dialect, Fault, Gateway, Presented};
use crate::error::{ApiError, Code};
use crate::traces::Arrival;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

/// The door's name in records and in `keyward:door`.
pub const DOOR: &str = "native";

// Names of headers that replies carry, read once and not for each reply.
static AUDIT_CHECKPOINT: HeaderName = HeaderName::from_static("keyward-audit-checkpoint");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Serves every path that is not one of health, readiness, metrics and OpenAPI.
pub async fn serve(http: HttpRequest, payload: web::Payload, gateway: web::Data<Gateway>) -> HttpResponse {
    let arrival = Arrival::now();
    let gateway = gateway.into_inner();
    let request = match gateway.request_id() {
        Ok(request) => request,
        Err(error) => return write(Answer::unrecorded(error), ""),
    };
    let call = head(&http, request.clone());
    let answer = exchange::answer(
        &gateway,
        call,
        &http,
        arrival,
        exchange::body(payload, gateway.body_limits().bytes, &gateway),
    )
    .await;
    write(answer, &request)
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
        user_agent: exchange::user_agent(headers, &[header::USER_AGENT]),
        certificate: http.conn_data::<ClientCertificate>().map(|shown| shown.0.clone()),
        secure_transport: http.conn_data::<SecureTransport>().is_some(),
        wants_checkpoint: wants_checkpoint(headers),
        dialect: Dialect::Native,
        trace: None,
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
    exchange::check_size(http)?;
    let headers = http.headers();
    if http.method() != Method::POST || !http.path().starts_with("/v1/") {
        return Ok(());
    }
    let invalid = |message: &str| Err(Fault::Inner(ApiError::new(Code::InvalidRequest, message)));
    if !http.query_string().is_empty() {
        return invalid("parameters belong in the body, not in the query");
    }
    if !exchange::is_json(headers) {
        return invalid("the header Content-Type must be `application/json`");
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return invalid("an encoded body is not accepted");
    }
    Ok(())
}

/// What the Authorization header holds. SECURITY: the token is taken from nowhere else.
fn credential(headers: &HeaderMap) -> Presented {
    let Some(value) = only(headers, &header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return if headers.contains_key(header::AUTHORIZATION) { Presented::Malformed } else { Presented::Nothing };
    };
    exchange::bearer(value).map_or(Presented::Malformed, Presented::Bearer)
}

fn wants_checkpoint(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("audit-checkpoint"))
}

/// Writes an answer in this door's form.
fn write(answer: Answer, request: &str) -> HttpResponse {
    let reply = answer.into_reply(request, Dialect::Native, |error| error);
    let status = reply.error.map_or(StatusCode::OK, problem::status);
    let mut response = HttpResponseBuilder::new(status);
    exchange::say_where(&mut response, &reply, request);
    if let Some(checkpoint) = reply.checkpoint {
        response.insert_header((&AUDIT_CHECKPOINT, checkpoint));
        response.insert_header((&PREFERENCE_APPLIED, "audit-checkpoint"));
    }
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    match reply.body {
        Body::Json(bytes) => {
            response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
            response.body(bytes)
        }
        Body::Stream(stream) => response.content_type("application/octet-stream").streaming(stream),
    }
}
