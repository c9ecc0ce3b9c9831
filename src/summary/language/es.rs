//! Spanish.

use super::{Labels, Source};

pub(super) const SOURCE: Source = Source {
    code: "es",
    stop: "a al algo algún alguna alguno ante antes aquí así aún aunque bien cada como cómo con contra cosa cual cuál cuando \
           cuándo de del desde donde dónde dos e el él ella ellas ellos en entonces entre era eran es esa ese eso esta está \
           están estaba este esto estos estoy favor fue fueron gracias ha hace hacer hacia han hasta hay he hemos hoy la las \
           le les lo los luego más me mi mí mis mucho muy nada ni no nos nosotros o os otra otro para pero poco por porque \
           pues que qué quien quién quiere quiero sabe se sea ser si sí sido siempre sin sobre son soy su sus también tan \
           tanto te tenemos tener tengo ti tiene tienen todo toda todos tu tú tus un una uno unos usted ustedes va vale vamos \
           ver voy y ya yo",
    fillers: "ah eh em este mm mmm oh ok pues bueno vale ya ajá",
    numbers: "cero=0 uno=1 una=1 dos=2 tres=3 cuatro=4 cinco=5 seis=6 siete=7 ocho=8 nueve=9 diez=10 once=11 doce=12 trece=13 \
              catorce=14 quince=15 dieciséis=16 diecisiete=17 dieciocho=18 diecinueve=19 veinte=20 treinta=30 cuarenta=40 \
              cincuenta=50 sesenta=60 setenta=70 ochenta=80 noventa=90",
    asks: r"^(?:(?:y|pero|pues|bueno|entonces),?\s+)*(?:¿|(?:qué|quién|cuándo|cuánto|cuántos|cuánta|cuál|dónde|cómo|por qué)\b)",
    small_talk: r"^\W*(?:hola|buenos días|buenas tardes|buenas noches|buenas|gracias|muchas gracias|de nada|adiós|hasta luego|mi nombre es|me llamo|le habla|habla)\b|\b(?:en qué (?:le|te|lo|la) puedo (?:ayudar|servir)|puedo ayudar(?:le|te) en|algo más|me (?:oye|escucha)|cómo está)\b",
    promise: r"\b(?:voy a|vamos a|le voy a|le vamos a|te voy a|me comprometo a|yo le|nosotros le)\s+|\b(?:le|les|te|se lo|se la|lo|la|me) (?:enviaré|enviaremos|mandaré|mandaremos|llamaré|llamaremos|devolveré|devolveremos|avisaré|avisaremos|confirmaré|confirmaremos|haré|haremos)\b",
    request: r"\b(?:(?:puede|puedes|podría|podrías|me puede|me podría)(?: usted)?(?: por favor)? (?:me )?|por favor,? |tiene que |necesito que (?:me )?)",
    in_call: "ayudar ayudarme decir decirme dígame esperar espere confirmar confirme repetir repetirme deletrear oír escuchar hablar \
              ver ser estar tener dar darme facilitarme disculpe no indicarme comprobar comprobarlo mirar",
    date: r"(?:(?:el|este|próximo|el próximo) )?(?:lunes|martes|miércoles|jueves|viernes|sábado|domingo)(?: (?:por la (?:mañana|tarde|noche)|que viene|próximo))?(?:,? a las? \w+(?::\d{2})?(?: y media)?)?|(?:hoy|mañana|pasado mañana)(?: (?:por la (?:mañana|tarde|noche)))?(?:,? a las? \w+(?::\d{2})?(?: y media)?)?|(?:esta|la próxima) (?:semana|tarde|noche)|(?:este|el próximo) mes|(?:el )?\d{1,2} de (?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)(?: de \d{4})?|(?:fin|final) de (?:semana|mes)|a las? \d{1,2}(?::\d{2})?|\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}",
    until: "para|antes de|antes del|hasta|el|a partir de",
    span: r"(?:en|dentro de) (?:un|una|unos|unas|\d+|dos|tres|cuatro|cinco|siete|diez|quince) (?:minutos?|horas?|días?(?: (?:hábiles|laborables))?|semanas?|mes(?:es)?)|lo antes posible",
    defers: r"\b(?:no (?:lo )?sé|no estoy segur[oa]|(?:lo )?(?:voy a|tengo que|déjeme|tendría que) (?:consultar|comprobar|averiguar|preguntar|verificar|mirar|revisar)\w*|no (?:le )?(?:puedo|sabría) decir(?:le)?)\b",
    reason: r"\b(?:llamo (?:por|porque|para)|llamaba|quería|quisiera|quiero|necesito|me gustaría|problema|porque|no funciona|no ha llegado|pedido|devolución|reembolso|cancelar|cita|reserva|compré|pedí|recibí)",
    resolved: r"\b(?:(?:ya )?(?:está|queda|quedó|ha quedado|ha sido|está todo) (?:resuelto|solucionado|arreglado|listo|confirmad[oa]|reservad[oa]|cancelad[oa]|hecho|procesado|reembolsado)|ya funciona|(?:le|te) he (?:reservado|confirmado|reembolsado|cancelado))\b",
    unresolved: r"\b(?:no (?:es aceptable|puedo hacer nada|podemos hacer nada|estoy contento|estoy satisfech[oa])|sigue sin funcionar|pérdida de tiempo)\b",
    escalated: r"\b(?:(?:le|te) (?:paso|transfiero|comunico) (?:con|a)|hablar con (?:un|el|su) (?:supervisor|encargado|gerente|responsable)|escalar)\b",
    wrong_number: r"\b(?:número equivocado|se (?:ha )?equivoc(?:ó|ado) de número|me (?:he )?equivoc(?:ó|ado|é) de número)\b",
    labels: Labels {
        customer: "cliente",
        agent: "agente",
        about: "Motivo:",
        points: "Puntos clave:",
        next: "Pendiente:",
        open: "Sin respuesta:",
        nothing: "No se dijo nada.",
    },
};
