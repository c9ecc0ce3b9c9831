// One audio leg to the gateway: offer, answer, state. Knows nothing of calls.

import { api } from './api.js';

/** The gateway is ICE-lite and learns our address from our checks, so candidates are a courtesy:
    wait for them no longer than this. */
const GATHER_MS_MAX = 250;
/** Beyond this a direct UDP path is not going to open any more. */
const CONNECT_MS_MAX = 10_000;

export class Peer {
  /** The leg's id at the gateway, once it is known. */
  legId = null;
  /** new | opening | connected | lost | closed | failed */
  phase = 'new';
  /** Why it failed, in words. */
  trouble = null;
  remote = null;
  #connection;
  #sender;
  #track;
  #aloud = false;
  #onChange;
  #deadline = null;

  /** `track` is our own clone of the microphone, or null; it is sent as silence until `speak(true)`. */
  constructor(track, onChange) {
    this.#track = track;
    this.#onChange = onChange;
    if (track) track.enabled = false;
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    this.#connection = connection;
    const transceiver = connection.addTransceiver(track ?? 'audio', { direction: 'sendrecv' });
    this.#sender = transceiver.sender;
    preferOpus(transceiver);
    connection.ontrack = ({ track: arrived, streams }) => {
      this.remote = streams[0] ?? new MediaStream([arrived]);
      this.#onChange();
    };
    connection.onconnectionstatechange = () => this.#stateChanged();
  }

  get connection() {
    return this.#connection;
  }

  /** Posts the offer to `path` and sets the answer. Throws a Problem when the gateway refuses. */
  async open(path) {
    this.#set('opening');
    try {
      await this.#connection.setLocalDescription();
      await gathered(this.#connection);
      const { sdp, location } = await api.sdp(path, this.#connection.localDescription.sdp);
      if (this.phase === 'closed') return;
      this.legId = location?.split('/').pop() ?? null;
      await this.#connection.setRemoteDescription({ type: 'answer', sdp });
      this.#deadline = setTimeout(() => this.#fail('No audio path to the gateway opened. A firewall may block its UDP ports.'), CONNECT_MS_MAX);
      this.#stateChanged();
    } catch (error) {
      if (this.phase === 'closed') return;
      this.#fail(error.message || 'The browser could not set up audio.');
      throw error;
    }
  }

  /** Lets the microphone through, or sends silence. */
  speak(aloud) {
    this.#aloud = aloud;
    if (this.#track) this.#track.enabled = aloud;
  }

  /** A new microphone in the middle of a call. */
  async useTrack(track) {
    track.enabled = this.#aloud;
    const old = this.#track;
    this.#track = track;
    if (this.phase !== 'closed') await this.#sender.replaceTrack(track);
    old?.stop();
  }

  get hasTrack() {
    return this.#track !== null;
  }

  close() {
    if (this.phase === 'closed') return;
    clearTimeout(this.#deadline);
    this.#set('closed');
    this.#connection.close();
    this.#track?.stop();
  }

  #stateChanged() {
    const state = this.#connection.connectionState;
    if (state === 'connected') {
      clearTimeout(this.#deadline);
      this.#set('connected');
    } else if (state === 'disconnected') {
      this.#set('lost');
    } else if (state === 'failed' || state === 'closed') {
      this.#fail('The audio connection to the gateway broke.');
    }
  }

  #fail(sentence) {
    if (this.phase === 'closed' || this.phase === 'failed') return;
    clearTimeout(this.#deadline);
    this.trouble = sentence;
    this.#set('failed');
  }

  #set(phase) {
    if (this.phase === phase || this.phase === 'closed') return;
    this.phase = phase;
    this.#onChange();
  }
}

/** WhatsApp speaks Opus alone; a short offer leaves less to misunderstand. */
function preferOpus(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.('audio')?.codecs ?? [];
  const wanted = codecs.filter(({ mimeType }) => /^audio\/(opus|telephone-event)$/i.test(mimeType));
  if (wanted.length > 0) transceiver.setCodecPreferences?.(wanted);
}

function gathered(connection) {
  if (connection.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS_MAX);
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}
