//! Languages of which only the common words are known: sentences are ranked, promises and questions without a mark are not
//! found.

use super::{Labels, Source};

pub(super) const TURKISH: Source = Source {
    code: "tr",
    stop: "acaba ama ancak artık bana bazı belki ben beni benim bile bir biraz biz bize bizi bizim bu buna bunda bundan bunlar \
           bunu bunun burada çok çünkü da daha de defa değil diye eğer en evet fakat gibi hangi hani hayır hem hep hepsi her \
           hiç için ile ise işte kadar ki kim kimse mı mi mu mü nasıl ne neden nerede niye o olan olarak oldu olduğu olsun on \
           ona ondan onlar onu onun orada oysa öyle sana sanki sen seni senin siz size sizi sizin sonra şey şimdi şu tabii \
           tamam tüm var ve veya ya yani yok zaten",
    fillers: "ee ıı hım hı şey yani tamam",
    labels: Labels {
        customer: "müşteri",
        agent: "temsilci",
        about: "Konu:",
        points: "Önemli noktalar:",
        next: "Yapılacak:",
        open: "Yanıtsız:",
        nothing: "Hiçbir şey söylenmedi.",
    },
    ..EMPTY
};

pub(super) const ARABIC: Source = Source {
    code: "ar",
    stop: "إلى إن أن أنا أنت أنتم أو أي إذا الآن التي الذي الى الله ان انا انت او اي بعد بين تم ثم جدا حتى حيث خلال ذلك سوف شيء على عن \
           عند عندي غير فقط في فيه قال قبل قد كان كانت كل كم كما كيف لا لك لكن لم لماذا لن له لها لو لي ليس ما متى مع من منذ منه \
           نحن نعم هذا هذه هل هم هناك هنا هو هي و وأن وفي وقد ولا وما ومن وهو يا يكون",
    fillers: "آه اه إيه طيب يعني",
    labels: LABELS,
    ..EMPTY
};

pub(super) const HINDI: Source = Source {
    code: "hi",
    stop: "अगर अपना अपनी अपने अब अभी आप आपका आपकी आपके आपको इस इसका इसकी इसके इसको इसे उन उनका उनकी उनके उस उसका उसकी उसके उसे एक ऐसा ऐसे ओर और \
           कब कर करना करने करें कहाँ का कि किस किसी की कुछ के कैसे को कोई कौन क्या क्यों गई गए गया जब जा जी जो तक तब तो था थी थे दिया दो \
           नहीं ना ने पर फिर बहुत बात बाद भी मुझे में मेरा मेरी मेरे मैं यदि यह यहाँ ये रहा रही रहे लिए ले वह वहाँ वाला वाली वाले वे से हम हमारा हमारे \
           हमें हाँ ही हुआ हुई हुए है हैं हो होगा होता होती होते हूँ",
    fillers: "अच्छा अरे मतलब हम्म",
    labels: LABELS,
    ..EMPTY
};

pub(super) const GEORGIAN: Source = Source {
    code: "ka",
    stop: "ა აი ალბათ ამ ამას ამით ან არ არა არაფერი არის აქ აქვს აღარ ახლა გთხოვთ და დიახ ე ეგ ეს ვარ ვერ იგი ის ისე ისევ იყო კარგი \
           კი მაგრამ მათ მაინც მას მე მერე მეც მხოლოდ მის მისი ნუ რა რადგან რამე რას რატომ როგორ როდის როცა რომ რომელი სად სულ თუ \
           თქვენ თქვენი უკვე უნდა უფრო შეიძლება შემდეგ შენ შენი ჩემი ჩემს ჩვენ ჩვენი ძალიან წინ ხოლო",
    fillers: "აჰა ჰო ხო მმ ეე",
    labels: Labels {
        customer: "კლიენტი",
        agent: "ოპერატორი",
        about: "საკითხი:",
        points: "მთავარი:",
        next: "გასაკეთებელი:",
        open: "უპასუხოდ:",
        nothing: "არაფერი თქმულა.",
    },
    ..EMPTY
};

const LABELS: Labels = super::en::SOURCE.labels;

const EMPTY: Source = Source {
    code: "",
    stop: "",
    fillers: "",
    numbers: "",
    asks: "",
    small_talk: "",
    promise: "",
    request: "",
    in_call: "",
    date: "",
    until: "",
    span: "",
    defers: "",
    reason: "",
    resolved: "",
    unresolved: "",
    escalated: "",
    wrong_number: "",
    labels: LABELS,
};
