//! A peer of our own making, which speaks the protocols by hand: first properly, then not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, SendStream};
use tandem::fork::control::{self, Goodbye, Open, ToGateway, ToWorker, Token, read_frame, write_frame};
use tandem::fork::roq::{self, ErrorCode, FlowId, Rtp};
use tandem::model::id::{CallId, RecordingId};
use tandem::model::recording::Format;
use tandem::model::time::Clock;
use tandem::worker::Worker;

use super::program::TOKEN;
use super::world::{CUSTOMER_HZ, start_worker, until, voice};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_media_is_counted_and_harms_nothing_and_streams_are_heard_like_datagrams() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(dir.path());
    let mut peer = Peer::introduced(&worker, dir.path(), "gw_by_hand").await;
    peer.open(1).await;
    until("opened", || worker.stats().calls == 1).await;
    let long = vec![0xff; 1_000];
    for datagram in [&b""[..], b"\x01", b"\x01\x80", b"\xff\xff\xff", &long, b"\x01\x80\x6f\0\x01"] {
        peer.media.send_datagram(datagram.to_vec().into()).unwrap();
    }
    let rtp = Rtp { payload_type: roq::OPUS, marker: false, seq: 1, time: 0, ssrc: 2, payload: &[0xff; 50] };
    // Somebody else's SSRC; another payload; a flow of nobody's; and noise in the place of sound.
    for (flow, rtp) in [(1, Rtp { ssrc: 77, ..rtp }), (1, Rtp { payload_type: 0, ..rtp }), (9, rtp), (1, rtp)] {
        peer.send(flow, rtp);
    }
    until("counted", || worker.stats().malformed == 8 && worker.stats().packets == 1).await;

    // The same call's proper sound on a RoQ stream.
    let mut stream = peer.media.open_uni().await.unwrap();
    let mut bytes = Vec::new();
    for (frame, payload) in voice(CUSTOMER_HZ).iter().enumerate() {
        let (seq, time) = (2 + frame as u16, frame as u32 * 960);
        let rtp = Rtp { seq, time, payload: payload.bytes(), ..rtp };
        roq::write_stream((frame == 0).then(|| FlowId::new(1).unwrap()), rtp, &mut bytes);
    }
    stream.write_all(&bytes).await.unwrap();
    until("heard", || worker.stats().packets == 51).await;
    // A stream that is none is stopped, the call goes on.
    let mut broken = peer.media.open_uni().await.unwrap();
    broken.write_all(&[1, 0x02, 0, 0, 0]).await.unwrap();
    assert_eq!(broken.stopped().await.unwrap().unwrap().into_inner(), u64::from(ErrorCode::Packet.code()));
    assert_eq!((worker.stats().gateways, worker.stats().calls), (1, 1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_introduce_himself_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(dir.path());
    // Media that no control connection names.
    let media = connect(&worker, dir.path(), roq::ALPN).await;
    assert_eq!(closing_code(&media).await, u64::from(ErrorCode::ExpectationUnmet.code()));
    // Words that are none of ours.
    let control = connect(&worker, dir.path(), control::ALPN).await;
    let (mut send, _receive) = control.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 2, b'{', b'}']).await.unwrap();
    assert_eq!(closing_code(&control).await, Goodbye::Nonsense as u64);
    // A message as long as memory.
    let control = connect(&worker, dir.path(), control::ALPN).await;
    let (mut send, _receive) = control.open_bi().await.unwrap();
    send.write_all(&[0xff; 8]).await.unwrap();
    assert_eq!(closing_code(&control).await, Goodbye::Nonsense as u64);
    // A media connection of somebody else cannot be claimed by guessing.
    let (control, mut send, _receive) = hello(&worker, dir.path(), "gw_by_hand").await;
    write_frame(&mut send, &ToWorker::Media { binding: "00".repeat(32) }).await.unwrap();
    assert_eq!(closing_code(&control).await, Goodbye::NoMedia as u64);
    assert_eq!((worker.stats().refused, worker.stats().gateways), (4, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_it_ends_whatever_its_gateway_says() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(dir.path());
    let mut peer = Peer::introduced(&worker, dir.path(), "gw_by_hand").await;
    peer.open(1).await;
    until("opened", || worker.stats().calls == 1).await;
    peer.say(ToWorker::Pause { flow: 1, at_us: u64::MAX }).await;
    peer.say(ToWorker::Resume { flow: 1, at_us: u64::MAX }).await;
    peer.say(ToWorker::Close { flow: 1, length_us: u64::MAX, packets: u64::MAX }).await;
    until("its recording is finished", || worker.stats().waiting == 1).await;
    let bytes = worker.stats().waiting_bytes;
    assert!(bytes < 10 * 64_000, "{bytes} bytes of a call of a moment");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_or_a_recording_that_is_open_already_is_not_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(dir.path());
    let mut peer = Peer::introduced(&worker, dir.path(), "gw_one").await;
    let recording = peer.open(1).await;
    until("opened", || worker.stats().calls == 1).await;
    // Another gateway may not take over what is owed to this one.
    let mut other = Peer::introduced(&worker, dir.path(), "gw_two").await;
    other.open_as(1, recording.clone()).await;
    assert_eq!(closing_code(&other.control).await, Goodbye::Leaving as u64);
    assert_eq!((worker.stats().calls, worker.stats().cut), (1, 0));
    // The same flow again, as another recording: of that one there is no trace.
    let second = peer.open(1).await;
    assert_eq!(closing_code(&peer.control).await, Goodbye::Leaving as u64);
    until("what was open is closed", || worker.stats().waiting == 1).await;
    assert_eq!((worker.stats().calls, worker.stats().cut), (0, 1));
    worker.stop().await;
    let entry = |recording: &RecordingId| std::fs::read_to_string(dir.path().join(format!("outbox/{recording}.json")));
    assert!(entry(&recording).unwrap().contains("gw_one"));
    entry(&second).unwrap_err();
}

struct Peer {
    control: Connection,
    send: SendStream,
    media: Connection,
}

impl Peer {
    async fn introduced(worker: &Worker, dir: &Path, gateway: &str) -> Self {
        let (control, mut send, mut receive) = hello(worker, dir, gateway).await;
        let media = connect(worker, dir, roq::ALPN).await;
        let mut binding = [0; 32];
        media.export_keying_material(&mut binding, control::BINDING_LABEL, b"").unwrap();
        write_frame(&mut send, &ToWorker::Media { binding: hex::encode(binding) }).await.unwrap();
        assert_eq!(read_frame::<ToGateway>(&mut receive).await.unwrap(), Some(ToGateway::Ready));
        Self { control, send, media }
    }

    async fn open(&mut self, flow: u64) -> RecordingId {
        let recording = RecordingId::generate();
        self.open_as(flow, recording.clone()).await;
        recording
    }

    async fn open_as(&mut self, flow: u64, recording: RecordingId) {
        let open = Open {
            flow,
            ssrc: [2, 3],
            call: CallId::generate(),
            recording,
            started: Clock.now().wall,
            format: Format::Wav,
            listen: true,
            consent: None,
        };
        self.say(ToWorker::Open(open)).await;
    }

    async fn say(&mut self, message: ToWorker) {
        write_frame(&mut self.send, &message).await.unwrap();
    }

    fn send(&self, flow: u64, rtp: Rtp<'_>) {
        self.media.send_datagram(roq::write_datagram(FlowId::new(flow).unwrap(), rtp).into()).unwrap();
    }
}

async fn hello(worker: &Worker, dir: &Path, gateway: &str) -> (Connection, SendStream, quinn::RecvStream) {
    let control = connect(worker, dir, control::ALPN).await;
    let (mut send, mut receive) = control.open_bi().await.unwrap();
    let (gateway, version) = (gateway.to_owned(), "0".to_owned());
    write_frame(&mut send, &ToWorker::Hello { token: Token(TOKEN.to_owned()), gateway, version }).await.unwrap();
    let answer = read_frame::<ToGateway>(&mut receive).await.unwrap();
    assert!(matches!(answer, Some(ToGateway::Welcome { .. })), "{answer:?}");
    (control, send, receive)
}

async fn connect(worker: &Worker, dir: &Path, alpn: &[u8]) -> Connection {
    let mut roots = rustls::RootCertStore::empty();
    let cert = std::fs::read(dir.join("worker-cert.der")).unwrap();
    roots.add(cert.into()).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    endpoint.connect_with(config, worker.address(), "tandem-worker").unwrap().await.unwrap()
}

async fn closing_code(connection: &Connection) -> u64 {
    let closed = tokio::time::timeout(Duration::from_secs(30), connection.closed()).await.expect("not closed");
    match closed {
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) => error_code.into_inner(),
        other => panic!("{other}"),
    }
}
