"""A WhatsApp phone whose media is aiortc: a WebRTC stack that shares nothing with the gateway's.

Commands come as JSON lines on stdin, one answer line each on stdout:
  {"do": "offer"} -> {"sdp"}            {"do": "take_answer", "sdp"} -> {}
  {"do": "answer", "sdp"} -> {"sdp"}    {"do": "accepted"} -> {}  (speaks from now on)
  {"do": "finish"} -> {"frames"}        (writes what was heard)
Arguments: the WAV to speak and the WAV to write, both 48 kHz mono 16 bit.
"""

import array
import asyncio
import fractions
import json
import re
import sys
import time
import wave

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

RATE, FRAME = 48_000, 960


class Voice(MediaStreamTrack):
    """Silence until told to speak, then the sound once, then silence."""

    kind = "audio"

    def __init__(self, path):
        super().__init__()
        with wave.open(path) as wav:
            self.samples = array.array("h", wav.readframes(wav.getnframes()))
        self.speaking, self.spoken, self.sent, self.start = False, 0, 0, None

    async def recv(self):
        if self.start is None:
            self.start = time.monotonic()
        await asyncio.sleep(max(0, self.start + self.sent / RATE - time.monotonic()))
        chunk = array.array("h", bytes(2 * FRAME))
        if self.speaking:
            part = self.samples[self.spoken : self.spoken + FRAME]
            chunk[: len(part)] = part
            self.spoken += FRAME
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(chunk.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += FRAME
        return frame


class Phone:
    def __init__(self, speak, listen):
        self.voice, self.listen, self.heard = Voice(speak), listen, array.array("h")
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(self.voice)
        self.pc.on("track", lambda track: asyncio.ensure_future(self.hear(track)))

    async def hear(self, track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        while True:
            try:
                frame = await track.recv()
            except Exception:
                return
            for out in resampler.resample(frame):
                self.heard.frombytes(bytes(out.planes[0])[: 2 * out.samples])

    async def offer(self, _):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        # WhatsApp's side is always controlled; aiortc as the offerer would insist on controlling.
        for transceiver in self.pc.getTransceivers():
            transceiver.sender.transport.transport._connection.ice_controlling = False
        return {"sdp": self.like_whatsapp("a=ice-lite\r\n")}

    async def take_answer(self, command):
        await self.pc.setRemoteDescription(RTCSessionDescription(command["sdp"], "answer"))
        return {}

    async def answer(self, command):
        await self.pc.setRemoteDescription(RTCSessionDescription(command["sdp"], "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return {"sdp": self.like_whatsapp("a=ice-lite\r\n")}

    def like_whatsapp(self, session_line):
        """One sha-256 fingerprint, loopback candidates only, ICE-lite at session level."""
        sdp = self.pc.localDescription.sdp
        sdp = re.sub(r"a=fingerprint:sha-(?!256)[^\r\n]*\r\n", "", sdp)
        candidates = re.findall(r"a=candidate:[^\r\n]*\r\n", sdp)
        loopback = [line for line in candidates if " 127.0.0.1 " in line] or candidates[:1]
        sdp = re.sub(r"a=candidate:[^\r\n]*\r\n", "", sdp)
        sdp = sdp.replace("a=end-of-candidates\r\n", "").replace("m=audio", session_line + "m=audio", 1)
        return sdp + "".join(loopback)

    async def accepted(self, _):
        self.voice.speaking = True
        return {}

    async def finish(self, _):
        with wave.open(self.listen, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(RATE)
            wav.writeframes(self.heard.tobytes())
        await self.pc.close()
        return {"frames": len(self.heard)}


async def main():
    phone = Phone(*sys.argv[1:3])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = await getattr(phone, command["do"])(command)
        print(json.dumps(answer), flush=True)
        if command["do"] == "finish":
            return


asyncio.run(main())
