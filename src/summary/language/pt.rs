//! Portuguese.

use super::{Labels, Source};

pub(super) const SOURCE: Source = Source {
    code: "pt",
    stop: "a à agora ainda algo alguém algum alguma ao aos aqui as às assim até bem cada coisa com como da das de dela dele \
           depois deve do dois dos e é ela elas ele eles em então entre era essa esse esta está estão estava este estou eu \
           favor fazer foi foram há isso isto já lá lhe mais mas me mesmo meu meus minha minhas muito na nada não nas nem \
           nenhum no nos nós nossa nosso num numa o obrigada obrigado onde os ou outra outro para pela pelo pode por porque \
           posso pouco qual quando que quem quer quero são se seja sem ser será seu seus sim só sobre sou sua suas também tão \
           te tem têm temos tenho ter tinha toda todo todos tu tudo um uma umas uns vai vamos ver você vocês vou",
    fillers: "ah ahn eh é hum mm né ok oh pois tá bom então",
    numbers: "zero=0 um=1 uma=1 dois=2 duas=2 três=3 quatro=4 cinco=5 seis=6 meia=6 sete=7 oito=8 nove=9 dez=10 onze=11 doze=12 \
              treze=13 quatorze=14 catorze=14 quinze=15 dezesseis=16 dezesete=17 dezessete=17 dezoito=18 dezenove=19 vinte=20 \
              trinta=30 quarenta=40 cinquenta=50 sessenta=60 setenta=70 oitenta=80 noventa=90",
    asks: r"^(?:(?:e|mas|então|bom),?\s+)*(?:o que|quem|quando|quanto|quantos|quanta|qual|onde|como|por que)\b",
    small_talk: r"^\W*(?:olá|oi|alô|bom dia|boa tarde|boa noite|obrigad[oa]|muito obrigad[oa]|de nada|tchau|até logo|meu nome é|aqui é|quem fala)\b|\b(?:(?:em|no) que (?:posso|podemos) (?:ajudar|lhe ajudar)|posso ajudar em|mais alguma coisa|está me ouvindo|tudo bem)\b",
    promise: r"\b(?:vou|vamos|eu vou|nós vamos)\s+|\b(?:lhe |te )?(?:enviarei|enviaremos|mandarei|mandaremos|ligarei|ligaremos|retornarei|retornaremos|avisarei|avisaremos|farei|faremos)\b",
    request: r"\b(?:(?:você |o senhor |a senhora )?(?:pode|poderia|podia)(?: por favor)? (?:me )?|por favor,? |(?:você )?precisa |preciso que (?:você )?(?:me )?)",
    in_call: "ajudar dizer me esperar espere aguardar aguarde confirmar repetir soletrar ouvir falar ver ser estar ter dar não \
              informar verificar olhar",
    date: r"(?:(?:na|no|nesta|próxima|na próxima) )?(?:segunda|terça|quarta|quinta|sexta)(?:-feira| feira)(?: (?:de|à|pela) (?:manhã|tarde|noite))?(?:,? às \w+(?::\d{2})?(?: e meia)?)?|(?:no |próximo )?(?:sábado|domingo)|(?:hoje|amanhã|depois de amanhã)(?: (?:de|à|pela) (?:manhã|tarde|noite))?(?:,? às \w+(?::\d{2})?(?: e meia)?)?|(?:esta|na próxima|próxima) semana|(?:este|no próximo|próximo) mês|(?:dia )?\d{1,2} de (?:janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro)(?: de \d{4})?|fim (?:de semana|do mês)|às \d{1,2}(?::\d{2})?|\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}",
    until: "até|para|antes de|antes da|na|no|a partir de",
    span: r"(?:em|dentro de) (?:um|uma|\d+|dois|duas|três|quatro|cinco|sete|dez|quinze) (?:minutos?|horas?|dias?(?: úteis)?|semanas?|m[êe]s(?:es)?)|o mais rápido possível",
    defers: r"\b(?:não sei|não tenho certeza|(?:vou|preciso|deixa eu|deixe-me|tenho que) (?:verificar|consultar|perguntar|descobrir|checar|ver)|não (?:posso|sei) dizer)\b",
    reason: r"\b(?:(?:estou )?ligando (?:para|porque|sobre)|liguei|gostaria|queria|quero|preciso|problema|porque|não funciona|não chegou|pedido|reembolso|cancelar|consulta|reserva|comprei|recebi)",
    resolved: r"\b(?:(?:já )?(?:está|ficou|foi) (?:tudo )?(?:resolvid[oa]|solucionad[oa]|confirmad[oa]|marcad[oa]|agendad[oa]|cancelad[oa]|reembolsad[oa]|feito)|já funciona)\b",
    unresolved: r"\b(?:não (?:é aceitável|posso fazer nada|podemos fazer nada|estou satisfeit[oa])|continua sem funcionar|perda de tempo)\b",
    escalated: r"\b(?:vou (?:transferir|passar) (?:a ligação|você)?|falar com (?:um|o|seu) (?:supervisor|gerente))\b",
    wrong_number: r"\b(?:número errado|foi engano|é engano)\b",
    labels: Labels {
        customer: "cliente",
        agent: "atendente",
        about: "Motivo:",
        points: "Pontos principais:",
        next: "A fazer:",
        open: "Sem resposta:",
        nothing: "Nada foi dito.",
    },
};
