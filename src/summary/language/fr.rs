//! French.

use super::{Labels, Source};

pub(super) const SOURCE: Source = Source {
    code: "fr",
    stop: "à ai ainsi alors après as au aucun aussi autre aux avant avec avez avoir avons beaucoup bien bon c'est car ce cela ces \
           cet cette ceux chez chose comme comment d'accord dans de depuis des deux dire dit dois doit donc du elle elles en \
           encore est et était étais été être eu eux fait faire faut il ils j'ai j'avais je jusqu'à l'a la là le les leur \
           leurs lui ma mais me même merci mes moi moins mon n'ai n'est ne ni non nos notre nous on ont ou où oui par parce \
           pas peu peut peux plus pour pourquoi quand que quel quelle qu'est qu'il qui quoi sa sans se sera ses si son sont \
           sous suis sur ta te tes toi ton tous tout toute très trop tu un une va vais vers veut veux voilà vos votre vous y",
    fillers: "ah ben bah bon euh hein heu hm mm oh ok ouais bref voilà",
    numbers: "zéro=0 un=1 une=1 deux=2 trois=3 quatre=4 cinq=5 six=6 sept=7 huit=8 neuf=9 dix=10 onze=11 douze=12 treize=13 \
              quatorze=14 quinze=15 seize=16 vingt=20 trente=30 quarante=40 cinquante=50 soixante=60",
    asks: r"^(?:(?:et|mais|alors|bon),?\s+)*(?:qu['’]est-ce|est-ce|qui|quand|combien|quel|quelle|quels|quelles|où|comment|pourquoi|avez-vous|pouvez-vous|pourriez-vous)\b",
    small_talk: r"^\W*(?:bonjour|bonsoir|salut|allô|merci|merci beaucoup|de rien|je vous en prie|au revoir|bonne journée|je m['’]appelle|c['’]est)\b|\b(?:(?:comment|en quoi) (?:puis-je|je peux) vous (?:aider|être utile)|puis-je vous aider|autre chose|vous m['’]entendez|comment allez-vous)\b",
    promise: r"\b(?:je vais|nous allons|on va|je vous)\s+(?:vous |aussi )?|\b(?:je|nous) (?:vous )?(?:enverrai|enverrons|rappellerai|rappellerons|rembourserai|rembourserons|confirmerai|confirmerons|ferai|ferons)\b",
    request: r"\b(?:(?:pouvez-vous|pourriez-vous|vous pouvez|vous pourriez)(?: s['’]il vous plaît)? (?:m['’]|me )?|veuillez |il faut que vous |vous devez )",
    in_call: "aider dire attendre patienter confirmer répéter épeler entendre parler voir être avoir donner pas remercie prie \
              entends écoute comprends vérifier regarder passe",
    date: r"(?:(?:ce|le|prochain) )?(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)(?: (?:matin|après-midi|soir|prochain))?(?:,? à \d{1,2}\s?(?:h(?:eures?)?)(?:\s?\d{2})?)?|(?:aujourd['’]hui|demain|après-demain)(?: (?:matin|après-midi|soir))?(?:,? à \d{1,2}\s?(?:h(?:eures?)?)(?:\s?\d{2})?)?|(?:cette|la) semaine(?: prochaine)?|le mois prochain|(?:le )?\d{1,2}(?:er)? (?:janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre)(?: \d{4})?|(?:la )?fin (?:de la semaine|du mois)|\d{1,2}\s?h(?:eures?)?(?:\s?\d{2})?|\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}",
    until: "avant|d['’]ici|pour|jusqu['’]à|à partir de|au plus tard",
    span: r"(?:dans|sous|d['’]ici) (?:un|une|\d+|deux|trois|quatre|cinq|sept|dix|quinze|quarante-huit) (?:minutes?|heures?|jours?(?: ouvrés| ouvrables)?|semaines?|mois)|dès que possible",
    defers: r"\b(?:je ne sais pas|je sais pas|pas sûre?|je (?:vais|dois) (?:vérifier|me renseigner|demander|regarder)|(?:je ne peux|peux) pas (?:vous )?(?:dire|répondre))\b",
    reason: r"\b(?:j['’]appelle|je vous appelle|je voudrais|je veux|j['’]aimerais|j['’]ai besoin|problème|parce que|ne (?:fonctionne|marche) pas|pas (?:reçu|arrivée?)|commande|rembours|annuler|rendez-vous|réserv|j['’]ai (?:acheté|commandé|reçu))",
    resolved: r"\b(?:(?:c['’]est|est|a été|sont|ont été) (?:maintenant |bien )?(?:résolue?|réglée?|réparée?|confirmée?s?|réservée?s?|annulée?s?|remboursée?s?|fait|noté)|ça (?:marche|fonctionne) maintenant)",
    unresolved: r"\b(?:ce n['’]est pas acceptable|c['’]est inacceptable|(?:je|nous|on) ne (?:peux|pouvons|peut) rien faire|toujours pas (?:résolu|réparé)|perte de temps)\b",
    escalated: r"\b(?:je vous (?:passe|transfère|mets en relation)|parler (?:à|avec) (?:un|le|votre) (?:responsable|supérieur|directeur))\b",
    wrong_number: r"\b(?:mauvais numéro|faux numéro|trompée? de numéro)",
    labels: Labels {
        customer: "client",
        agent: "agent",
        about: "Motif :",
        points: "Points clés :",
        next: "À faire :",
        open: "Sans réponse :",
        nothing: "Rien n’a été dit.",
    },
};
