//! Tandem's RTP over QUIC against GStreamer's, both ways: what we write its `quinnroqdemux` reads, what its
//! `quinnroqmux` writes we read. Every packet must come out as it went in. Run by `make interop`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use roq::{FlowId, Packet, Rtp};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::time::timeout;

/// As the product has it.
#[allow(dead_code, reason = "streams and errors are not exchanged here")]
#[path = "../../../../src/fork/roq.rs"]
mod roq;

/// One byte and two bytes on the wire.
const FLOWS: [u64; 2] = [1, 300];
const PACKETS: u16 = 500;
const ALL: usize = FLOWS.len() * PACKETS as usize;
/// A packet's length on the clock of Opus.
const TICKS: u32 = 960;
const PATIENCE: Duration = Duration::from_secs(20);

/// The RTP packets that came out, by flow.
type Heard = Arc<Mutex<BTreeMap<u64, Vec<Vec<u8>>>>>;

fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nobody was before us");
    gst::init().expect("GStreamer is installed");
    gstquinn::plugin_register_static().expect("the plugin fits this GStreamer");
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let _inside = runtime.enter();
    let ours = runtime.block_on(we_speak());
    println!("Tandem → GStreamer: {ours} of {ALL} packets, each as it was sent");
    let theirs = runtime.block_on(they_speak());
    println!("GStreamer → Tandem: {theirs} of {ALL} packets, each as it was sent");
}

/// Tandem as the gateway, GStreamer as the worker.
async fn we_speak() -> usize {
    let at = free_port();
    let pipeline = gst::Pipeline::new();
    let source = quic("quinnquicsrc", "server", at);
    let demux = gst::ElementFactory::make("quinnroqdemux").build().expect("it is registered");
    pipeline.add_many([&source, &demux]).expect("they are in no other pipeline");
    source.link(&demux).expect("they fit");
    demux.connect("request-flow-id-map", false, |_| Some(Some(opus()).to_value()));
    let heard = Heard::default();
    let (inside, all) = (pipeline.downgrade(), Arc::clone(&heard));
    demux.connect_pad_added(move |_, pad| {
        let flow = pad.name().strip_prefix("src_").and_then(|flow| flow.parse().ok()).expect("a flow's pad");
        let all = Arc::clone(&all);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                let bytes = buffer.map_readable().expect("it is memory");
                all.lock().expect("no panic").entry(flow).or_default().push(bytes.to_vec());
            }
            gst::PadProbeReturn::Ok
        });
        let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().expect("a core element");
        inside.upgrade().expect("it plays").add(&sink).expect("it is new");
        sink.sync_state_with_parent().expect("it can play");
        pad.link(&sink.static_pad("sink").expect("a sink has one")).expect("it takes anything");
    });
    // It waits for the connection on the way to playing.
    let playing = {
        let pipeline = pipeline.clone();
        std::thread::spawn(move || pipeline.set_state(gst::State::Playing))
    };
    let connection = connect(at).await;
    for seq in 0..PACKETS {
        for flow in FLOWS {
            let payload = payload(flow, seq);
            let datagram = roq::write_datagram(FlowId::new(flow).expect("it is small"), rtp(flow, seq, &payload));
            connection.send_datagram(datagram.into()).expect("it fits");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let heard = all_of(&heard).await;
    playing.join().expect("no panic").expect("it plays");
    pipeline.set_state(gst::State::Null).expect("it stops");
    heard
}

/// GStreamer as the gateway, Tandem as the worker.
async fn they_speak() -> usize {
    let (endpoint, at) = listen();
    let pipeline = gst::Pipeline::new();
    let mux = gst::ElementFactory::make("quinnroqmux").build().expect("it is registered");
    let sink = quic("quinnquicsink", "client", at);
    pipeline.add_many([&mux, &sink]).expect("they are in no other pipeline");
    mux.link(&sink).expect("they fit");
    let sources: Vec<gst_app::AppSrc> = FLOWS
        .into_iter()
        .map(|flow| {
            let source = gst_app::AppSrc::builder().caps(&opus()).format(gst::Format::Time).build();
            pipeline.add(&source).expect("it is new");
            let pad = mux.request_pad_simple("datagram_%u").expect("as many as are wanted");
            pad.set_property("flow-id", flow);
            source.static_pad("src").expect("a source has one").link(&pad).expect("it is RTP");
            source
        })
        .collect();
    let playing = {
        let pipeline = pipeline.clone();
        std::thread::spawn(move || pipeline.set_state(gst::State::Playing))
    };
    let incoming = timeout(PATIENCE, endpoint.accept()).await.expect("it calls").expect("we listen");
    let connection = incoming.await.expect("the handshake succeeds");
    println!("GStreamer chose {}", alpn(&connection));
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok(datagram) = connection.read_datagram().await {
            let (flow, packet) = roq::read_datagram(&datagram).expect("it is RTP over QUIC");
            let Packet::Rtp(packet) = packet else { continue };
            let again = roq::write_datagram(flow, packet);
            let header = again.len() - 12 - packet.payload.len();
            all.lock().expect("no panic").entry(flow.get()).or_default().push(again[header..].to_vec());
        }
    });
    playing.join().expect("no panic").expect("it plays");
    for seq in 0..PACKETS {
        for (flow, source) in FLOWS.into_iter().zip(&sources) {
            let mut buffer = gst::Buffer::from_slice(rtp_bytes(flow, seq));
            let time = gst::ClockTime::from_mseconds(20 * u64::from(seq));
            buffer.get_mut().expect("nobody else has it").set_pts(time);
            source.push_buffer(buffer).expect("it plays");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let heard = all_of(&heard).await;
    pipeline.set_state(gst::State::Null).expect("it stops");
    heard
}

/// Waits until everything is there and compares it with what was sent.
async fn all_of(heard: &Heard) -> usize {
    let count = || heard.lock().expect("no panic").values().map(Vec::len).sum::<usize>();
    let all_came = async {
        while count() < ALL {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, all_came).await.is_err() {
        panic!("{} of {ALL} packets came", count());
    }
    for (flow, packets) in heard.lock().expect("no panic").iter() {
        let sent: Vec<Vec<u8>> = (0..PACKETS).map(|seq| rtp_bytes(*flow, seq)).collect();
        assert!(*packets == sent, "flow {flow} came out as something else");
    }
    count()
}

/// One of GStreamer's ends of a connection that carries datagrams.
fn quic(element: &str, role: &str, at: SocketAddr) -> gst::Element {
    let element = gst::ElementFactory::make(element).build().expect("it is registered");
    element.set_property_from_str("role", role);
    element.set_property("address", at.ip().to_string());
    element.set_property("port", u32::from(at.port()));
    element.set_property("use-datagram", true);
    // Whom it speaks with is not what is tried here.
    element.set_property("secure-connection", false);
    element.set_property("server-name", "localhost");
    let alpn = std::str::from_utf8(roq::ALPN).expect("it is ASCII");
    element.set_property("alpn-protocols", gst::Array::new([alpn]));
    element
}

fn opus() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("payload", i32::from(roq::OPUS))
        .field("clock-rate", 48_000)
        .field("encoding-name", "OPUS")
        .build()
}

async fn connect(at: SocketAddr) -> Connection {
    let mut tls = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody::Anybody))
        .with_no_client_auth();
    tls.alpn_protocols = roq::ALPN_ACCEPTED.map(<[u8]>::to_vec).to_vec();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("it has TLS 1.3")));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
    // It listens only when it plays.
    let attempts = async {
        loop {
            let connecting = endpoint.connect_with(config.clone(), at, "localhost").expect("a name");
            if let Ok(connection) = connecting.await {
                return connection;
            }
        }
    };
    let connection = timeout(PATIENCE, attempts).await.expect("GStreamer listens");
    println!("GStreamer agreed on {}", alpn(&connection));
    connection
}

fn listen() -> (Endpoint, SocketAddr) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("they belong together");
    tls.alpn_protocols = roq::ALPN_ACCEPTED.map(<[u8]>::to_vec).to_vec();
    let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("it has TLS 1.3")));
    let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().expect("an address")).expect("a port is free");
    let at = endpoint.local_addr().expect("it is bound");
    (endpoint, at)
}

fn alpn(connection: &Connection) -> String {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let protocol = data.and_then(|data| data.protocol).expect("it is negotiated");
    String::from_utf8(protocol).expect("it is ASCII")
}

fn free_port() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.local_addr().expect("it is bound")
}

fn rtp(flow: u64, seq: u16, payload: &[u8]) -> Rtp<'_> {
    let time = u32::from(seq) * TICKS;
    Rtp { payload_type: roq::OPUS, marker: seq == 0, seq, time, ssrc: ssrc(flow), payload }
}

/// The same packet as RFC 3550 section 5.1 has it, written here: what both sides are measured by.
fn rtp_bytes(flow: u64, seq: u16) -> Vec<u8> {
    let marker = if seq == 0 { 0x80 } else { 0 };
    let mut bytes = vec![0x80, marker | roq::OPUS];
    bytes.extend(seq.to_be_bytes());
    bytes.extend((u32::from(seq) * TICKS).to_be_bytes());
    bytes.extend(ssrc(flow).to_be_bytes());
    bytes.extend(payload(flow, seq));
    bytes
}

fn ssrc(flow: u64) -> u32 {
    7 + flow as u32
}

/// Of the lengths that Opus has, and never the same.
fn payload(flow: u64, seq: u16) -> Vec<u8> {
    (0..60 + seq % 40).map(|i| (i ^ seq ^ flow as u16) as u8).collect()
}

mod anybody {
    //! Takes any certificate: the peer's is made anew each time.

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("QUIC has TLS 1.3".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, signed, &provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    }

    fn provider() -> &'static CryptoProvider {
        CryptoProvider::get_default().expect("main chose one")
    }
}
