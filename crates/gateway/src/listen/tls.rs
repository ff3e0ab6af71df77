//! TLS for the public listener: the certificate, and its replacement while connections go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often replaced files are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where the certificate and its key are, as PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Error)]
pub enum TlsError {
    #[error("can't read {path}: {source}")]
    Read { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} holds no certificate")]
    NoCertificate { path: PathBuf },
    #[error("the certificate in {cert} and the key in {key} can't be used together: {source}")]
    Unusable { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("can't make a self-signed certificate: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("can't write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// The certificate in use; a newer one takes effect with the next handshake.
#[derive(Debug)]
pub struct Certificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
    seen: ArcSwap<Option<FileTimes>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] where they can't be read or don't belong together.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, TlsError> {
        let seen = modified(&files);
        let current = read(&files)?;
        Ok(Arc::new(Self {
            files,
            current: ArcSwap::from_pointee(current),
            seen: ArcSwap::from_pointee(seen),
        }))
    }

    /// Reads the files again where they changed; `Ok(true)` where a new certificate is in use.
    /// The old one stays in force where the new one is unusable.
    ///
    /// # Errors
    /// As [`Certificate::load`]. The same fault is reported once for each change of the files.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let now = modified(&self.files);
        if **self.seen.load() == now {
            return Ok(false);
        }
        self.seen.store(Arc::new(now));
        self.current.store(Arc::new(read(&self.files)?));
        Ok(true)
    }

    /// The TLS settings of the public listener: HTTP/2 first, then HTTP/1.1.
    #[must_use]
    pub fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(self))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// Looks for replaced files until `stop`.
pub async fn watch(certificate: Arc<Certificate>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        match certificate.refresh() {
            Ok(false) => {}
            Ok(true) => info!("a new certificate is in use"),
            Err(error) => warn!(%error, "the new certificate can't be used: the old one stays"),
        }
    }
}

#[derive(Debug)]
struct Resolver(Arc<Certificate>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.load_full())
    }
}

/// The self-signed certificate of the data folder, made there once, for the names under which a
/// local gateway is reached.
///
/// # Errors
/// [`TlsError`] where it can't be made or written.
pub fn self_signed(data_dir: &Path) -> Result<CertificateFiles, TlsError> {
    let files =
        CertificateFiles { cert: data_dir.join("tls-cert.pem"), key: data_dir.join("tls-key.pem") };
    if files.cert.exists() && files.key.exists() {
        return Ok(files);
    }
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let write = |path: &Path, text: String| {
        crate::data_folder::write_private(path, text.as_bytes())
            .map_err(|source| TlsError::Write { path: path.to_owned(), source })
    };
    write(&files.key, made.signing_key.serialize_pem())?;
    write(&files.cert, made.cert.pem())?;
    Ok(files)
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(fault(&files.cert))?
        .collect::<Result<_, _>>()
        .map_err(fault(&files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: files.cert.clone() });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(fault(&files.key))?;
    CertifiedKey::from_der(chain, key, &crypto::aws_lc_rs::default_provider()).map_err(|source| {
        TlsError::Unusable { cert: files.cert.clone(), key: files.key.clone(), source }
    })
}

/// When the certificate and its key were written.
type FileTimes = (SystemTime, SystemTime);

/// The times of both: whichever is replaced last makes a difference, even where it is the older
/// one. `None` while one of them is missing.
fn modified(files: &CertificateFiles) -> Option<FileTimes> {
    let time = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    Some((time(&files.cert)?, time(&files.key)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    type Served = tokio_rustls::server::TlsStream<DuplexStream>;
    type Client = tokio_rustls::client::TlsStream<DuplexStream>;

    /// Writes a new certificate, dated so many seconds after the epoch.
    fn replace(files: &CertificateFiles, dated_s: u64) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write(&files.key, made.signing_key.serialize_pem().as_bytes(), dated_s);
        write(&files.cert, made.cert.pem().as_bytes(), dated_s);
        made.cert.der().clone()
    }

    fn write(path: &Path, content: &[u8], dated_s: u64) {
        std::fs::write(path, content).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(dated_s)).unwrap();
    }

    /// A handshake with a client that trusts this certificate alone.
    async fn handshake(
        config: &Arc<ServerConfig>,
        trusted: &CertificateDer<'static>,
    ) -> (Client, Served) {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let client =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (near, far) = duplex(64 * 1024);
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, near);
        let accepting = TlsAcceptor::from(Arc::clone(config)).accept(far);
        let (client, served) = tokio::join!(connecting, accepting);
        (client.unwrap(), served.unwrap())
    }

    async fn still_passes(connection: &mut (Client, Served)) {
        connection.0.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        connection.1.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
    }

    fn files(folder: &Path) -> CertificateFiles {
        CertificateFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }

    #[tokio::test]
    async fn replaced_files_serve_the_next_handshake_and_open_connections_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let first = replace(&files, 1_000);
        let certificate = Certificate::load(files.clone()).unwrap();
        let config = certificate.server_config();
        let mut open = handshake(&config, &first).await;
        assert!(!certificate.refresh().unwrap(), "nothing has changed");

        // Whether newer or older by its date: it is another one.
        for dated_s in [2_000, 500] {
            let next = replace(&files, dated_s);
            assert!(certificate.refresh().unwrap());
            still_passes(&mut handshake(&config, &next).await).await;
            still_passes(&mut open).await;
        }
    }

    #[tokio::test]
    async fn an_unusable_replacement_leaves_the_old_one_in_use_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let first = replace(&files, 1_000);
        let certificate = Certificate::load(files.clone()).unwrap();
        let config = certificate.server_config();

        // Between the writing of the two: the key is another certificate's.
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write(&files.cert, other.cert.pem().as_bytes(), 2_000);
        assert!(matches!(certificate.refresh(), Err(TlsError::Unusable { .. })));
        assert!(!certificate.refresh().unwrap(), "the same fault isn't told again");
        still_passes(&mut handshake(&config, &first).await).await;

        // The key comes with the same date as the certificate that waited for it.
        write(&files.key, other.signing_key.serialize_pem().as_bytes(), 2_000);
        assert!(certificate.refresh().unwrap());
        still_passes(&mut handshake(&config, other.cert.der()).await).await;

        for (content, dated_s) in [(&b""[..], 3_000), (b"no PEM", 4_000)] {
            write(&files.cert, content, dated_s);
            assert!(certificate.refresh().is_err());
        }
        std::fs::remove_file(&files.key).unwrap();
        let _ = certificate.refresh();
        still_passes(&mut handshake(&config, other.cert.der()).await).await;
    }
}
