//! A TLS client as the tests need it: one request on a connection of its own.

use crate::certificates::{Authority, Identity};
use crate::gateway::{Export, TestGateway};
use crate::installation::Installation;
use crate::wire::{Connection, Reply};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Error, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Has an installation serve TLS from its next start on, as `name`; the authority to trust is in its `ca.pem` as well.
pub(crate) fn serve_as(installation: &Installation, name: &str) -> Authority {
    let authority = Authority::new();
    let identity = authority.server(&format!("DNS:{name}"));
    for (file, text) in [
        ("keys/server.pem", &identity.certificate),
        ("keys/server.key", &identity.key),
        ("ca.pem", &authority.certificate()),
    ] {
        std::fs::write(installation.path(file), text).unwrap();
    }
    let tls = toml::toml! { certificate_file = "keys/server.pem" key_file = "keys/server.key" client_ca_file = "" };
    installation.set("server.tls", tls);
    authority
}

/// A client that trusts one authority and may show a certificate.
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    /// A client without a certificate.
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self::with(authority, None).unwrap()
    }

    /// A client with a certificate, if the library lets it show that.
    pub(crate) fn with(authority: &Authority, identity: Option<&Identity>) -> std::result::Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key)?
            }
        };
        config.enable_early_data = true;
        Ok(Self(Arc::new(config)))
    }

    /// A connection, over which nothing was said yet.
    pub(crate) fn connect(&self, address: SocketAddr) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(Error::other)?;
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// One request, and its reply.
    pub(crate) fn request(
        &self,
        address: SocketAddr,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply> {
        let mut stream = self.connect(address)?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        // In TLS 1.3 a refused certificate shows with the first answer.
        Connection::over(stream).request(line, headers, body).ok_or_else(|| Error::other("closed"))
    }

    pub(crate) fn get(&self, address: SocketAddr, path: &str) -> Result<Reply> {
        self.request(address, &format!("GET {path}"), &[], b"")
    }

    /// Whether a second connection may not send early data.
    pub(crate) fn early_data_is_refused(&self, address: SocketAddr) -> bool {
        self.get(address, "/healthz").unwrap();
        let mut stream = self.connect(address).unwrap();
        let may = stream.conn.early_data().is_some();
        let _flushed = stream.flush();
        !may
    }

    /// The verified export of a gateway that serves TLS.
    pub(crate) fn export(&self, gateway: &TestGateway) -> Export {
        let bearer = format!("Bearer {}", gateway.admin());
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        let reply = self.request(gateway.address(), "POST /v1/ExportRecords", &headers, b"{}").unwrap().ok();
        Export::verified(reply.bytes, &gateway.installation().read("keys/log.vkey"))
    }
}
