// Reads the peaks of a WAV file piece by piece, so that an hour of stereo is never in memory as
// decoded samples. PCM of 16 bits, any number of channels; the first two are drawn.

const PIECE_BYTES = 1 << 20;

/** Peaks per channel, 0–1, `buckets` each: `{ seconds, peaks: [Float32Array, Float32Array?] }`. */
export async function wavPeaks(blob, buckets) {
  const format = await readHeader(blob);
  const { channels, dataStart, dataBytes } = format;
  const frameBytes = channels * 2;
  const frames = Math.floor(dataBytes / frameBytes);
  const drawn = Math.min(channels, 2);
  const peaks = Array.from({ length: drawn }, () => new Float32Array(buckets));
  const pieceFrames = Math.floor(PIECE_BYTES / frameBytes);
  for (let from = 0; from < frames; from += pieceFrames) {
    const count = Math.min(pieceFrames, frames - from);
    const start = dataStart + from * frameBytes;
    const samples = new Int16Array(await blob.slice(start, start + count * frameBytes).arrayBuffer());
    for (let i = 0; i < count; i += 1) {
      const bucket = Math.min(buckets - 1, Math.floor(((from + i) / frames) * buckets));
      for (let channel = 0; channel < drawn; channel += 1) {
        const size = Math.abs(samples[i * channels + channel]) / 32768;
        if (size > peaks[channel][bucket]) peaks[channel][bucket] = size;
      }
    }
  }
  return { seconds: frames / format.rate, peaks };
}

/** Walks the RIFF chunks; a recording cut by a crash may say a length that the file does not have. */
async function readHeader(blob) {
  const view = new DataView(await blob.slice(0, 65_536).arrayBuffer());
  const tag = (at) => String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
  if (view.byteLength < 12 || tag(0) !== 'RIFF' || tag(8) !== 'WAVE') throw new Error('The recording is not a WAV file.');
  let at = 12;
  let format = null;
  while (at + 8 <= view.byteLength) {
    const size = view.getUint32(at + 4, true);
    if (tag(at) === 'fmt ') {
      format = { channels: view.getUint16(at + 10, true), rate: view.getUint32(at + 12, true), bits: view.getUint16(at + 22, true) };
    } else if (tag(at) === 'data' && format) {
      if (format.bits !== 16) throw new Error(`The recording has ${format.bits} bits a sample; only 16 can be drawn.`);
      return { ...format, dataStart: at + 8, dataBytes: Math.min(size, blob.size - at - 8) };
    }
    at += 8 + size + (size % 2);
  }
  throw new Error('The recording has no audio in it.');
}

/** Beyond it the samples of a compressed recording would fill the browser. */
const DECODED_BYTES_MAX = 8 << 20;
const DRAWN_HZ = 8_000;

/** The same of any sound that the browser can decode. */
export async function soundPeaks(blob, buckets) {
  if (blob.size > DECODED_BYTES_MAX) throw new Error('A compressed recording of this length is not drawn; it can be played.');
  const sound = await new OfflineAudioContext(2, 1, DRAWN_HZ).decodeAudioData(await blob.arrayBuffer());
  const peaks = Array.from({ length: Math.min(2, sound.numberOfChannels) }, (_, channel) => {
    const samples = sound.getChannelData(channel);
    const drawn = new Float32Array(buckets);
    for (let i = 0; i < samples.length; i += 1) {
      const bucket = Math.floor((i / samples.length) * buckets);
      drawn[bucket] = Math.max(drawn[bucket], Math.abs(samples[i]));
    }
    return drawn;
  });
  return { seconds: sound.duration, peaks };
}
