//! Calls as text: `0:04 C words` is a segment of the customer's that begins four seconds into the call.

use crate::model::id::CallId;
use crate::model::reason::Direction;
use crate::model::rtp::Side;
use crate::model::time::Timestamp;
use crate::model::transcript::Segment;
use crate::summary::CallFacts;

/// People say about three words a second.
const WORD_MS: u64 = 330;

pub(in crate::summary) const DELIVERY: &str = "
0:00 A Thank you for calling Harbour Books, this is Dana. How can I help you?
0:05 C Hi, um, I'm calling because the parcel with my textbooks hasn't arrived.
0:10 C It was supposed to be here last Monday.
0:14 A I'm sorry to hear that. Could you give me the order number, please?
0:18 C Sure, it's order number 48213.
0:22 A Thank you. Let me see.
0:26 A The courier tried to deliver the parcel on Tuesday, but the building entrance was locked.
0:33 C Nobody left a card or called me about the parcel.
0:37 C When will they try to deliver it again?
0:40 A The next delivery attempt is on Thursday between 9 am and noon.
0:46 C Thursday is fine. Can you please tell the courier to call my mobile, 415 555 0123?
0:53 A I will send the courier your mobile number today.
0:58 C And who pays the 12 dollars for the second delivery?
1:02 A I'm not sure about that. I'll check with the accounts department and email you by Friday.
1:09 C Okay. My address is nino dot beridze at example dot com.
1:15 A Great, thank you. Is there anything else I can do for you?
1:19 C No, that's all. Bye.
";

pub(in crate::summary) const REFUND: &str = "
0:00 A Good morning, Lumen Lighting, how can I help?
0:03 C Good morning. I bought a desk lamp from you and it arrived broken, so I would like a refund.
0:11 A Oh no, I'm sorry. What exactly is broken on the lamp?
0:15 C The glass shade is cracked and the switch doesn't work at all.
0:20 A I see. How much did you pay for it?
0:23 C Eighty four dollars and I paid by card.
0:28 A Please send us a photo of the cracked shade by tomorrow evening.
0:33 C I'll send the photo tonight. Do I have to return the broken lamp?
0:38 A No, you can keep or recycle the lamp.
0:42 A We'll refund the 84 dollars to your card within five business days.
0:48 C Will the refund include the shipping costs?
0:51 A Yes, the shipping costs of $6.50 are included as well.
0:56 A The refund has been issued, your reference is RF-20931.
1:02 C Perfect, thank you very much for the quick help.
1:06 A You're welcome. Have a nice day!
";

pub(in crate::summary) const APPOINTMENT: &str = "
0:00 A Bright Smile dental clinic, Marta speaking, how may I help you?
0:04 C Hello, I'd like to move my dental cleaning appointment on December 3rd.
0:10 A Of course. Which day would suit you better?
0:14 C Is there anything free in the following week, in the afternoon?
0:19 A We have Wednesday, December 9th at 4 pm or Friday December 11th at 2:30.
0:27 C Wednesday the ninth works for me.
0:31 A All right, you're booked for a cleaning with Doctor Kim on December 9th at 4 pm.
0:38 A Please bring your insurance card to the appointment.
0:42 C Does the insurance cover the cleaning?
0:45 A I don't know, that depends on your insurance plan.
0:49 C Okay, I'll ask the insurance company about it this week. Thanks.
0:54 A Thank you, goodbye.
";

pub(in crate::summary) const COMPLAINT: &str = "
0:00 A Northline Internet, you are speaking with Peter.
0:03 C Yes hello. My internet connection has been down for three days and this is the fourth time I call.
0:12 C I work from home and I lost two customers because of this outage.
0:18 A I understand, that must be very frustrating. Can you read me your account number?
0:24 C It's account number seven seven oh one four two.
0:30 A I can see that a technician was booked for Monday but did not
0:35 C He never came, nobody even called me to cancel the visit!
0:41 A I apologise. The technician reported a damaged cable in your street.
0:47 C So when will the connection work again?
0:50 A I really can't say, the repair of the cable depends on the city's permit.
0:57 C That is not acceptable. I want compensation for the three days of outage.
1:03 A I can offer you a credit of 15 euros on the next bill.
1:08 C Fifteen euros is a joke. I want to speak to a supervisor.
1:13 A My supervisor Mrs. Okafor will call you back before 6 pm today.
1:19 C Fine. If nobody calls me by then I'll cancel my contract tomorrow.
";

pub(in crate::summary) const SALES: &str = "
0:00 A Hi, this is Leo from Crescent Software. I'm calling about the demo request you sent us on our website.
0:08 C Oh yes, right. We are looking for a scheduling tool for our three clinics.
0:15 A Great. How many people would use the scheduling tool?
0:19 C Around forty, mostly receptionists and some doctors.
0:24 A The team plan costs 9 euros per user each month, and there is a ten percent discount for annual payment.
0:33 C Does the tool connect to our patient records system?
0:37 A Yes, it connects to the patient records through a standard interface.
0:43 C And is the data stored in Europe?
0:46 A All data is stored in Frankfurt.
0:50 C Could you send me an offer for forty users by Wednesday?
0:54 A Sure, I'll send you the offer for forty users by Wednesday morning.
1:00 C Then our accountant will review the offer next week.
1:05 A Wonderful. Talk to you soon, bye bye.
";

pub(in crate::summary) const WRONG_NUMBER: &str = "
0:00 A Harbour Books, this is Dana speaking.
0:03 C Hello, is this the Blue Door pizza place?
0:06 A No, I'm afraid you have the wrong number.
0:09 C Oh, sorry. Bye.
";

pub(in crate::summary) const ONE_SIDED: &str = "
0:04 C Hello? Hello, can you hear me?
0:07 C I need to cancel my hotel reservation for the 14th of March.
0:12 C The confirmation number is HB-5521.
0:16 C Please call me back at +995 555 010 203.
";

pub(in crate::summary) const SPANISH: &str = "
0:00 A Buenos días, Tienda Sol, ¿en qué le puedo ayudar?
0:03 C Hola, llamo porque mi pedido no ha llegado todavía.
0:07 A ¿Me puede decir el número de pedido?
0:10 C Sí, es el pedido número 55871.
0:14 A El paquete con los zapatos está en el almacén de Sevilla por un error de dirección.
0:21 C ¿Cuándo llegarán los zapatos?
0:24 A Los zapatos llegarán el jueves por la mañana.
0:29 C ¿Y me devuelven los 20 euros del envío urgente?
0:33 A No lo sé, tengo que consultar con administración.
0:38 A Le enviaré un correo antes del viernes.
0:42 C Muy bien, muchas gracias.
";

/// The segments of a dialogue.
pub(in crate::summary) fn transcript(dialogue: &str) -> Vec<Segment> {
    let mut next = [0_u32; 2];
    let lines = dialogue.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let (time, who, text) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let (minutes, seconds) = time.split_once(':').unwrap();
            let start_ms = (minutes.parse::<u64>().unwrap() * 60 + seconds.parse::<u64>().unwrap()) * 1000;
            let speaker = if who == "C" { Side::Customer } else { Side::Agent };
            let index = next[speaker as usize];
            next[speaker as usize] += 1;
            let words = text.split_whitespace().count() as u64;
            Segment { index, ..said(speaker, start_ms, start_ms + words * WORD_MS, text) }
        })
        .collect()
}

/// A final segment.
pub(in crate::summary) fn said(speaker: Side, start_ms: u64, end_ms: u64, text: &str) -> Segment {
    Segment {
        speaker,
        index: 0,
        start_ms,
        end_ms,
        text: text.to_owned(),
        is_final: true,
        stable_chars: u32::try_from(text.chars().count()).unwrap(),
        confidence: None,
        language: None,
    }
}

pub(in crate::summary) fn facts(direction: Direction) -> CallFacts {
    CallFacts {
        call: CallId::parse("call_1").unwrap(),
        direction,
        started_at: Timestamp::from_secs(1_795_000_000),
        duration_ms: 90_000,
        language: None,
        names: Vec::new(),
    }
}
