//! One bounded GET.
//!
//! SECURITY: no redirect, no proxy, no decompression, no connection that is kept: each fetch resolves its name anew,
//! checks every address that comes back, and connects to those alone, so that a name cannot mean one address to the
//! check and another to the connection. The caller bounds the time.

use std::error::Error;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_ENCODING};
use reqwest::{Certificate, Client, Response, Url};

use super::FetchError;
use super::address::Networks;

/// Largest body, in bytes: that of a key set.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Whether `authorities` is PEM with certificates.
pub(super) fn check_authorities(authorities: Option<&[u8]>) -> Result<(), String> {
    match authorities.map(Certificate::from_pem_bundle) {
        None => Ok(()),
        Some(Ok(certificates)) if !certificates.is_empty() => Ok(()),
        Some(_) => Err("is no PEM file with certificates".to_owned()),
    }
}

/// The body of a 200 answer.
pub(super) async fn get(url: &Url, networks: &Networks, authorities: Option<&[u8]>) -> Result<Vec<u8>, FetchError> {
    let client = client(url, networks, authorities)?;
    let asked = client.get(url.clone()).header(ACCEPT, "application/json").send().await;
    let response = asked.map_err(|error| of_connection(&error))?;
    check_head(&response)?;
    body(response).await
}

/// A client for one request.
fn client(url: &Url, networks: &Networks, authorities: Option<&[u8]>) -> Result<Client, FetchError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .https_only(url.scheme() == "https")
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .pool_max_idle_per_host(0)
        .dns_resolver(Checking(networks.clone()))
        .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = authorities {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|error| of_connection(&error))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| of_connection(&error))
}

fn check_head(response: &Response) -> Result<(), FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect);
    }
    if status != reqwest::StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(FetchError::Encoding);
    }
    Ok(())
}

async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(block) = response.chunk().await.map_err(|error| of_connection(&error))? {
        if body.len().saturating_add(block.len()) > BODY_BYTES_MAX {
            return Err(FetchError::Size);
        }
        body.extend_from_slice(&block);
    }
    Ok(body)
}

/// The innermost cause in one line; it names hosts and addresses, never a body.
fn of_connection(error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        if inner.is::<Inner>() {
            return FetchError::InnerAddress;
        }
        cause = inner;
    }
    FetchError::Connection(cause.to_string().chars().filter(|c| !c.is_control()).take(200).collect())
}

/// A name of which an address may not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("an inner address")]
struct Inner;

/// Resolves by the system, and refuses a name of which any address is an inner one.
struct Checking(Networks);

impl Resolve for Checking {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !found.iter().all(|address| networks.permit(address.ip())) {
                return Err(Inner.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}
