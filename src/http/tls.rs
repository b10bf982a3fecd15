//! TLS of the listener, whichever door a request is for: certificates from files, read again when they change; clients limited
//! by certificate.
//!
//! - TLS 1.2 and 1.3, no early data, no resumption: every connection shows its certificate, and none outlives a change of
//!   the authorities by a ticket.
//! - With `client_ca_file`, nobody connects without a certificate by one of its authorities. SECURITY: a client
//!   certificate limits who may connect and is recorded; it never names a principal.
//! - Files that are not understood keep what was live before, and say so.
//!
//! If the process dies here, the next start reads the files.

use crate::config::{Config, Tls};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no TLS by these files.
#[derive(Debug, thiserror::Error)]
#[error("`server.tls.{setting}`: `{path}`: {problem}")]
pub(crate) struct TlsError {
    setting: &'static str,
    path: PathBuf,
    problem: String,
}

/// Where the files are.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
}

/// What the files hold.
#[derive(Debug)]
struct Material {
    key: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Over all files.
    digest: [u8; 32],
}

/// The certificates of a listener.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Files,
    live: ArcSwap<Material>,
    provider: Arc<CryptoProvider>,
}

impl Certificates {
    /// Reads the files of `[server.tls]`; `None` if there is no TLS.
    ///
    /// # Errors
    /// [`TlsError`] naming the setting and the file.
    pub(crate) fn load(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        let Tls { certificate_file, key_file, client_ca_file } = &config.server.tls;
        if certificate_file.as_os_str().is_empty() {
            return Ok(None);
        }
        let client_authorities = (!client_ca_file.as_os_str().is_empty()).then(|| config.path(client_ca_file));
        let files =
            Files { certificate: config.path(certificate_file), key: config.path(key_file), client_authorities };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let live = ArcSwap::from_pointee(read(&files, &provider)?);
        Ok(Some(Arc::new(Self { files, live, provider })))
    }

    /// The certificates that the listener shows, its own first.
    pub(crate) fn shown(&self) -> Vec<CertificateDer<'static>> {
        self.live.load().key.cert.clone()
    }

    /// What the listener is to use, now and after every reload.
    ///
    /// # Errors
    /// [`Error`] if the provider does not offer what is asked of it.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = if self.files.client_authorities.is_some() {
            builder.with_client_cert_verifier(Arc::new(Clients(Arc::clone(self))))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(Server(Arc::clone(self))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// Reads the files again: hex SHA-256 of the server's certificate if anything has changed, which then is live.
    ///
    /// # Errors
    /// [`TlsError`]; what was live before stays.
    pub(crate) fn reload(&self) -> Result<Option<String>, TlsError> {
        let material = read(&self.files, &self.provider)?;
        if material.digest == self.live.load().digest {
            return Ok(None);
        }
        let shown = material.key.cert.first().map(|leaf| fingerprint(leaf)).unwrap_or_default();
        self.live.store(Arc::new(material));
        Ok(Some(shown))
    }
}

fn bytes(setting: &'static str, path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let read = std::fs::read(path).map(zeroize::Zeroizing::new);
    read.map_err(|cause| TlsError { setting, path: path.to_owned(), problem: format!("cannot be read: {cause}") })
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |problem: &str| TlsError { setting, path: path.to_owned(), problem: problem.to_owned() };
    let text = bytes(setting, path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|_| wrong("is no PEM file"))?;
    if read.is_empty() { Err(wrong("holds no certificate")) } else { Ok(read) }
}

fn read(files: &Files, provider: &Arc<CryptoProvider>) -> Result<Material, TlsError> {
    let chain = certificates("certificate_file", &files.certificate)?;
    let of_key = |problem: &str| TlsError { setting: "key_file", path: files.key.clone(), problem: problem.to_owned() };
    let text = bytes("key_file", &files.key)?;
    let mut digest = Sha256::new();
    digest.update(Sha256::digest(&*text));
    chain.iter().for_each(|certificate| digest.update(Sha256::digest(certificate)));
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| of_key("holds no private key in PEM"))?;
    let key = CertifiedKey::from_der(chain, key, provider)
        .map_err(|_| of_key("is not the key of the certificate in `certificate_file`"))?;
    let clients = match &files.client_authorities {
        None => None,
        Some(path) => {
            let authorities = certificates("client_ca_file", path)?;
            authorities.iter().for_each(|certificate| digest.update(Sha256::digest(certificate)));
            Some(verifier(path, authorities, provider)?)
        }
    };
    Ok(Material { key: Arc::new(key), clients, digest: digest.finalize().into() })
}

fn verifier(
    path: &Path,
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let wrong = |problem: String| TlsError { setting: "client_ca_file", path: path.to_owned(), problem };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|_| wrong("holds a certificate that cannot be an authority".to_owned()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| wrong(error.to_string()))
}

/// The server's certificate of the moment.
#[derive(Debug)]
struct Server(Arc<Certificates>);

impl ResolvesServerCert for Server {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.live.load().key))
    }
}

/// The authorities of the moment.
#[derive(Debug)]
struct Clients(Arc<Certificates>);

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: they change, and clients need not be told whom we trust.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let live = self.0.live.load();
        let clients = live.clients.as_ref().ok_or(Error::General("no authority of clients".to_owned()))?;
        let verified = clients.verify_client_cert(end_entity, intermediates, now)?;
        // Workload identities are one URI (SPIFFE X.509-SVID 2); several would be one certificate for many.
        let uris = webpki::EndEntityCert::try_from(end_entity).map(|leaf| leaf.valid_uri_names().count());
        match uris {
            Ok(0 | 1) => Ok(verified),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Hex SHA-256 of the DER of the certificate that a connection's client has shown.
#[derive(Clone)]
pub(crate) struct ClientCertificate(pub(crate) String);

/// Of a connection by TLS.
#[derive(Clone, Copy)]
pub(crate) struct SecureTransport;

/// Remembers that a new connection is by TLS, and what certificate its client has shown.
pub(crate) fn remember_client(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else {
        return;
    };
    extensions.insert(SecureTransport);
    if let Some(leaf) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
        extensions.insert(ClientCertificate(fingerprint(leaf)));
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(certificate))
}
