//! `/healthz`, `/readyz` and `/metrics`: no token, no record, no name of a secret or caller.

use crate::access::Gateway;
use actix_web::http::header;
use actix_web::{HttpResponse, Resource, guard, web};
use metrics_exporter_prometheus::PrometheusHandle;

/// `GET /healthz` (the process lives) and `GET /readyz` (it serves; else 503 with reasons).
pub fn routes(app: &mut web::ServiceConfig) {
    // A guard on the resource: any other method falls through to the door, which records it.
    app.service(web::resource("/healthz").guard(guard::Get()).to(healthz))
        .service(web::resource("/readyz").guard(guard::Get()).to(readyz));
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({"status": "ok"}))
}

async fn readyz(gateway: web::Data<Gateway>) -> HttpResponse {
    let reasons = gateway.unready();
    let mut response = if reasons.is_empty() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({"reasons": reasons}))
}

/// `GET /metrics`, Prometheus text.
pub fn metrics_route(metrics: PrometheusHandle) -> Resource {
    web::resource("/metrics").guard(guard::Get()).to(move || {
        let metrics = metrics.clone();
        async move {
            metrics.run_upkeep();
            HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(metrics.render())
        }
    })
}
