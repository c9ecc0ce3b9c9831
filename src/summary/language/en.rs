//! English.

use super::{Labels, Source};

pub(super) const SOURCE: Source = Source {
    code: "en",
    stop: "a about after again all also am an and any are aren't as at back be because been before being both but by call \
           came can can't come could couldn't did didn't do does doesn't doing don't down each even every few for from \
           further get give go going gonna got had has hasn't have haven't having he he's her here here's hers him his how \
           i i'd i'll i'm i've if in into is isn't it it's its itself just kind know let let's like lot made make many may \
           maybe me mean might mine more most much must my myself need never no nor not now of off on once one only or \
           other our ours out over own please put quite really said same say see she should shouldn't since so some \
           something still such sure take tell than thank thanks that that's the their them then there there's these they \
           they're thing things think this those through to today too under until up us very want wanted was wasn't way we \
           we'll we're we've well were weren't what what's when where which while who whom why will with won't would \
           wouldn't yes yet you you'd you'll you're you've your yours",
    fillers: "ah aha alright eh er erm hm hmm huh mhm mm mmm oh ok okay right uh uhm um yeah yep well so like",
    numbers: "zero=0 oh=0 o=0 nought=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 \
              twelve=12 thirteen=13 fourteen=14 fifteen=15 sixteen=16 seventeen=17 eighteen=18 nineteen=19 twenty=20 \
              thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90",
    asks: r"^(?:(?:and|but|so|okay|well|um|uh|oh),?\s+)*(?:what|when|where|which|who|whose|why|how|is|are|was|were|do|does|did|has|have|can|could|will|would|should|may|might)\s+(?:i|you|we|he|she|it|they|the|this|that|there|my|your|is|are|was|were|do|does|did|will|would|can|could|should|much|many|long|time|kind|about|any|somebody|someone)\b",
    small_talk: r"^(?:\W*(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|bye|goodbye|thanks?|thank you|you['’]re welcome|no problem|have a (?:nice|good|great|lovely)|take care|my name is|this is|how are you|are you there|nice to)\b)|\b(?:how (?:can|may|could) (?:i|we) (?:help|assist)|what can (?:i|we) do for you|thank you for (?:calling|holding|waiting)|anything else (?:i|we|you)|is there anything else|does that (?:make sense|work|sound)|is that (?:okay|ok|all right|right)|can you hear me|are you (?:there|still there)|how are you|you know what i mean)\b|\b(?:right|okay|ok|yeah)\?$",
    promise: r"\b(?:i|we|he|she|they|(?:a|the|our|my) (?:\w+ )?(?:team|courier|driver|manager|colleague|engineer|technician|supervisor|department|office|accountant|assistant)(?: (?:mr|mrs|ms|dr)\.? \w+)?)(?:['’]ll| will|['’](?:m|re|s) going to| (?:am|are|is) going to| promise to)\s+(?:(?:also|just|then|definitely|personally|certainly|make sure (?:to|that (?:i|we))) )*",
    request: r"\b(?:(?:can|could|would|will) you (?:(?:please|also|just|maybe|kindly) )*|please (?:(?:also|just|make sure (?:to|you)|do) )*|you (?:(?:will |['’]ll )?need to|have to|should|must) (?:(?:also|just|please) )*|i(?: would|['’]d) like you to |i (?:want|need) you to |(?:don['’]t forget|make sure|remember) to )",
    in_call: "be bear confirm explain forgive give guess have hear help hold imagine just keep know let listen mind not pardon \
              put read repeat say see speak spell stay stop take talk tell think understand verify wait describe excuse \
              love miss like never look remain",
    date: r"(?:(?:this|next|coming|last)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day(?:\s+(?:morning|afternoon|evening|night))?(?:,?\s+(?:(?:at|around|before|by)\s+)?(?:\d{1,2}(?:[:.]\d{2})?\s*(?:[ap]\.?m\b\.?|o['’]clock)|\d{1,2}:\d{2}|(?:half past|quarter (?:past|to)) \w+|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?:\s+thirty)?\s+(?:[ap]\.?m\b\.?|o['’]clock)|noon))?|(?:tomorrow|today|tonight)(?:\s+(?:morning|afternoon|evening|night))?(?:,?\s+at\s+(?:\d{1,2}(?:[:.]\d{2})?(?:\s*[ap]\.?m\b\.?)?|noon|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?:\s+(?:thirty|[ap]\.?m\b\.?|o['’]clock))*))?|(?:this|next) (?:week|month|morning|afternoon|evening|weekend)|(?:the )?end of (?:the |this |next )?(?:day|week|month|year)|(?:january|february|march|april|may|june|july|august|september|october|november|december) (?:the )?(?:\d{1,2}(?:st|nd|rd|th)?\b|(?:twenty |thirty )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth|\w+teenth|twentieth|thirtieth)(?:,? \d{4})?|(?:the )?(?:\d{1,2}(?:st|nd|rd|th)?|(?:twenty |thirty )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth|\w+teenth|twentieth|thirtieth) (?:of )?(?:january|february|march|april|may|june|july|august|september|october|november|december)(?:,? \d{4})?|the \d{1,2}(?:st|nd|rd|th)|\d{1,2}(?:[:.]\d{2})?\s*[ap]\.?m\b\.?|\d{1,2}:\d{2}|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?: thirty)? (?:[ap]\.?m\b\.?|o['’]clock)|\d{1,2} o['’]clock|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}",
    until: "by|before|until|till|no later than|not later than|on|at|from|latest by",
    span: r"(?:within|in) (?:the next |about |around )?(?:an?|\d+|one|two|three|four|five|six|seven|eight|ten|twelve|fourteen|twenty[- ]four|forty[- ]eight|a couple of|a few)(?: (?:to|or) \w+)? (?:business |working )?(?:minutes?|hours?|days?|weeks?|months?)|as soon as possible|first thing(?: in the morning)?|straight away after this call",
    defers: r"\b(?:i(?: do not|['’]m not| am not| don['’]t) (?:know|sure|certain)|not sure|no idea|(?:i|we)(?:['’]ll| will| need to| have to|['’]d have to) (?:\w+ )?(?:check|find out|look into|ask|get back|investigate|see what)|let me (?:check|find out|look|see)|can['’]t (?:say|tell|answer)|cannot (?:say|tell|answer)|don['’]t have that information|get back to you)\b",
    reason: r"\b(?:i(?:['’]m| am| was)? (?:calling|ringing|phoning)|calling (?:about|because|to|regarding)|i(?:['’]d| would) like|i (?:want|need|wanted|have|had|ordered|bought|got|received)|problem|issue|trouble|complain|because|broken|not working|doesn['’]t work|hasn['’]t|haven['’]t|did(?:n['’]t| not)|still waiting|interested in|refund|cancel|appointment|book)",
    resolved: r"\b(?:(?:that|this|it)(?:['’]s| is| has been)(?: now| all)? (?:resolved|sorted|fixed|solved|done|settled|working(?: now)?)|(?:is|has been|have been|i['’]ve|we['’]ve|i have|we have|you['’]re|you are) (?:now |just |all )?(?:resolved|fixed|refunded|issued|processed|booked|confirmed|cancelled|canceled|scheduled|rescheduled|updated|placed|sorted)|that (?:solves|solved|fixes|fixed) (?:it|my|the)|it works now|problem (?:is )?solved|you['’]re all set)\b",
    unresolved: r"\b(?:(?:that|this|it)(?:['’]s| is) (?:not|still not) (?:acceptable|good enough|resolved|fixed|solved|working)|still (?:doesn['’]t|does not|isn['’]t|is not) (?:work|working|fixed)|(?:nothing|not much) (?:i|we) can do|(?:i|we) (?:can['’]t|cannot) help (?:you )?with (?:that|this)|waste of (?:my )?time|not happy with (?:that|this))\b",
    escalated: r"\b(?:(?:put|transfer|pass|connect)(?:ring|ing)? (?:you|this|it|your \w+)(?: \w+)? (?:through|on|over|up|to)\b|escalat(?:e|ed|ing)|(?:speak|talk) (?:to|with) (?:a|your|the) (?:manager|supervisor)|my (?:manager|supervisor)(?: (?:mr|mrs|ms|dr)\.? \w+)? will)",
    wrong_number: r"\b(?:wrong number|nobody (?:here )?(?:by|with|of) that name|no one (?:here )?(?:by|with|of) that name|misdialed|misdialled|dialed the wrong|dialled the wrong)\b",
    labels: Labels {
        customer: "customer",
        agent: "agent",
        about: "About:",
        points: "Key points:",
        next: "To do:",
        open: "Open:",
        nothing: "Nothing was said.",
    },
};
