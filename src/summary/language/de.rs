//! German.

use super::{Labels, Source};

pub(super) const SOURCE: Source = Source {
    code: "de",
    stop: "aber alle allem allen aller alles als also am an auch auf aus bei bin bis bist bitte da dabei damit danach danke dann \
           das dass dem den denn der des die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen \
           einer eines er es etwas euch für gar gegen gehabt gehen geht gibt gut habe haben hab hat hatte hätte hier ich ihm \
           ihn ihnen ihr ihre ihrem ihren im immer in ins ist ja jede jeder jetzt kann kein keine können könnten mal man mehr \
           mein meine meinem meinen meiner mich mir mit möchte muss nach nein nicht nichts noch nun nur ob oder ohne schon sehr \
           sein seine sich sie sind so soll über um und uns unser unsere unter viel vom von vor wann war waren warum was weil \
           wenn wer werden wie wieder will wir wird wo wollen worden würde würden zu zum zur",
    fillers: "äh ähm ach aha hm hmm mhm mm na naja ok okay oh tja ja genau so",
    numbers: "null=0 eins=1 ein=1 eine=1 zwei=2 zwo=2 drei=3 vier=4 fünf=5 sechs=6 sieben=7 acht=8 neun=9 zehn=10 elf=11 zwölf=12 \
              zwanzig=20 dreißig=30 vierzig=40 fünfzig=50 sechzig=60 siebzig=70 achtzig=80 neunzig=90",
    asks: r"^(?:(?:und|aber|also|ja),?\s+)*(?:was|wer|wen|wem|wann|wo|wie|warum|wieso|welche|welcher|welches|haben sie|können sie|könnten sie|ist das|gibt es)\b",
    small_talk: r"^\W*(?:hallo|guten (?:tag|morgen|abend)|grüß gott|servus|danke|vielen dank|bitte schön|bitteschön|gern geschehen|auf wiederhören|tschüss|schönen tag|mein name ist|hier (?:ist|spricht))\b|\b(?:(?:wie|womit) kann ich ihnen (?:\w+ )?helfen|was kann ich für sie tun|sonst noch (?:etwas|was)|hören sie mich|wie geht es ihnen)\b",
    promise: r"\b(?:ich werde|wir werden|ich kümmere mich|ich|wir)\s+(?:(?:ihnen|sie|das|es|mich|uns|heute|morgen|gleich|dann|noch) )*(?:werde |werden )?(?:schicke|schicken|sende|senden|rufe|rufen|erstatte|erstatten|überweise|überweisen|veranlasse|veranlassen|melde|melden|bestelle|bestellen|leite|leiten|buche|buchen|kümmere)\b",
    request: r"\b(?:(?:können|könnten|würden) sie (?:(?:mir|uns|bitte|das|die|den) )*|bitte (?:(?:mir|uns) )?|sie (?:müssen|sollten) )",
    in_call: "helfen sagen warten bleiben bestätigen wiederholen buchstabieren hören sprechen sehen sein haben geben nicht nennen \
              mich mal kurz einen prüfen",
    date: r"(?:(?:am|diesen|nächsten|kommenden|bis|zum) )?(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag)(?:(?: )?(?:früh|vormittag|mittag|nachmittag|abend))?(?: um \w+(?::\d{2})?(?: uhr(?: \d{2})?)?)?|(?:heute|morgen|übermorgen) (?:früh|vormittag|mittag|nachmittag|abend|um \w+(?::\d{2})? uhr)|übermorgen|heute|morgen|(?:diese|nächste) woche|(?:diesen|nächsten) monat|(?:am |den |zum )?\d{1,2}\. ?(?:januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember)(?: \d{4})?|ende (?:der woche|des monats)|(?:um )?\d{1,2}(?::\d{2})? uhr(?: \d{2})?|\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}-\d{2}-\d{2}",
    until: "bis|bis zum|vor|am|ab|spätestens(?: am| bis)?",
    span: r"(?:in|innerhalb von|binnen) (?:einer|einem|\d+|zwei|drei|vier|fünf|sieben|zehn|vierzehn) (?:minuten?|stunden?|tagen?|werktagen|wochen?|monaten?)|so schnell wie möglich",
    defers: r"\b(?:(?:das )?weiß ich (?:\w+ )?nicht|ich weiß (?:es )?nicht|nicht sicher|(?:das )?muss ich (?:erst )?(?:\w+ )?(?:nachfragen|klären|prüfen|nachsehen)|ich (?:muss|werde) (?:das )?(?:nachfragen|klären|prüfen)|kann ich (?:ihnen )?(?:\w+ )?nicht sagen|melde mich)\b",
    reason: r"\b(?:ich rufe (?:\w+ )?an|rufe an|ich möchte|ich wollte|ich will|ich brauche|problem|weil|funktioniert nicht|kaputt|nicht (?:gekommen|angekommen|geliefert)|bestell|erstattung|stornieren|kündigen|termin|ich habe .{0,40}(?:gekauft|bestellt|bekommen))",
    resolved: r"\b(?:(?:ist|sind|wurde|wurden|habe ich|haben wir) (?:\w+ ){0,3}(?:erledigt|gelöst|behoben|bestätigt|gebucht|storniert|erstattet|eingetragen)|(?:es |das )?funktioniert (?:jetzt|wieder))\b",
    unresolved: r"\b(?:(?:das )?ist nicht akzeptabel|da kann ich (?:\w+ )?nichts (?:machen|tun)|immer noch nicht|zeitverschwendung)\b",
    escalated: r"\b(?:ich verbinde sie|ich stelle sie durch|mit (?:dem|ihrem|einem) (?:vorgesetzten|chef|teamleiter) sprechen|mein(?:e)? vorgesetzter?)\b",
    wrong_number: r"\b(?:falsche nummer|verwählt|falsch verbunden)\b",
    labels: Labels {
        customer: "Kunde",
        agent: "Mitarbeiter",
        about: "Anliegen:",
        points: "Wichtiges:",
        next: "Zu tun:",
        open: "Offen:",
        nothing: "Es wurde nichts gesagt.",
    },
};
