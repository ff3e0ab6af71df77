//! A client of the TLS listener. It trusts the certificate in the stack's data folder, and no other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fluxgate_testkit::TestStack;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The body of a request.
pub type Body = Full<Bytes>;

/// A finished handshake, with these protocols offered.
pub async fn connect(stack: &TestStack, protocols: &[&str]) -> TlsStream<TcpStream> {
    connect_to(stack.tls, stack.folder.path(), protocols).await
}

/// The same with whatever listens there and has its certificate in that folder.
pub async fn connect_to(to: SocketAddr, folder: &Path, protocols: &[&str]) -> TlsStream<TcpStream> {
    let certificate = CertificateDer::from_pem_file(folder.join("tls-cert.pem"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.unwrap()).unwrap();
    let mut config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(to).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

/// An HTTP/2 connection.
pub async fn http2(stack: &TestStack) -> http2::SendRequest<Body> {
    http2_over(connect(stack, &["h2"]).await).await
}

/// The same over a connection that is there.
pub async fn http2_over(stream: TlsStream<TcpStream>) -> http2::SendRequest<Body> {
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    // It ends with the sender, or by the server's doing.
    tokio::spawn(connection);
    sender
}

/// An HTTP/1.1 connection.
pub async fn http1(stack: &TestStack) -> http1::SendRequest<Body> {
    let stream = connect(stack, &["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A post with the stack's key.
pub fn post(stack: &TestStack, uri: &str, body: &str) -> Request<Body> {
    Request::post(uri)
        .header("authorization", format!("Bearer {}", stack.key))
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// Status, headers and body.
pub async fn read(response: Response<Incoming>) -> (u16, HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8_lossy(&body).into_owned())
}
