//! Certificates for the tests, made by `openssl`: an authority and what it signs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A certificate authority with a key of its own.
pub(crate) struct Authority {
    dir: TempDir,
    made: std::cell::Cell<u32>,
}

/// A certificate and its key, each PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    /// The certificate's DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }
}

fn openssl(arguments: &[&str], dir: &TempDir) {
    let ran = Command::new("openssl").args(arguments).current_dir(dir.path()).output().expect("openssl is installed");
    assert!(ran.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

const NEW_KEY: [&str; 6] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"];

impl Authority {
    /// A new authority.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A new authority with further extensions.
    pub(crate) fn with(extensions: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut arguments = vec!["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        openssl(&arguments, &dir);
        Self { dir, made: std::cell::Cell::new(0) }
    }

    /// Its certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    /// Its key, PEM.
    pub(crate) fn key(&self) -> String {
        fs::read_to_string(self.path("ca.key")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A server's certificate for these names, as `subjectAltName` writes them.
    pub(crate) fn server(&self, names: &str) -> Identity {
        self.sign("/CN=server", &[&format!("subjectAltName={names}"), "extendedKeyUsage=serverAuth"])
    }

    /// A certificate that has expired.
    pub(crate) fn sign_expired(&self, subject: &str, extensions: &[&str]) -> Identity {
        fs::write(self.path("index.txt"), "").unwrap();
        fs::write(self.path("serial"), "1000\n").unwrap();
        let fresh = self.sign(subject, extensions);
        let config = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n\
             x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=CA:FALSE\n{}\n",
            extensions.join("\n")
        );
        fs::write(self.path("ca.cnf"), config).unwrap();
        let request = format!("{}.csr", self.made.get() - 1);
        let mut arguments =
            vec!["ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        arguments.extend(["-in", &request, "-out", "expired.pem"]);
        arguments.extend(["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]);
        openssl(&arguments, &self.dir);
        Identity { certificate: fs::read_to_string(self.path("expired.pem")).unwrap(), key: fresh.key }
    }

    /// A certificate with these extensions.
    pub(crate) fn sign(&self, subject: &str, extensions: &[&str]) -> Identity {
        let number = self.made.get();
        self.made.set(number + 1);
        let name = |end: &str| format!("{number}.{end}");
        let (key, request, config, out) = (name("key"), name("csr"), name("cnf"), name("pem"));
        let mut arguments = vec!["req", "-keyout", &key, "-out", &request, "-subj", subject];
        arguments.extend(NEW_KEY);
        openssl(&arguments, &self.dir);
        fs::write(self.path(&config), format!("basicConstraints=CA:FALSE\n{}\n", extensions.join("\n"))).unwrap();
        let mut arguments = vec!["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-out", &out];
        arguments.extend(["-CAcreateserial", "-sha256", "-days", "30", "-extfile", &config]);
        openssl(&arguments, &self.dir);
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        Identity { certificate: read(&out), key: read(&key) }
    }
}
