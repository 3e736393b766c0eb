"""The words behind the levels of a chat's filters: by language, kind and how bad they are. Data, and nothing else.

A line is one kind, one degree (4 the worst), and terms as moderators write them, with commas between. They are our own
choice for a shop's chat: short lists of what is said there, not dictionaries. What looks like one of them and is
harmless stands below each list, and is found by none.
"""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "en": """
harassment 4: kill yourself, kys, go die, hang yourself, neck yourself, drink bleach, end your life, i will kill you,
  i will find you, you should die, hope you die, i know where you live, slit your *
harassment 3: retard, retards, retarded, subhuman*, vermin, go back to your country, nobody loves you,
  waste of oxygen,
  worthless piece, die alone, fat pig, fat cow, ugly pig, ugly cow, ugly bitch
harassment 2: idiot*, moron, morons, moronic, imbecile*, dumbass*, scumbag*, fatso, loser, losers, lowlife*, you are
  trash, you are garbage, you are disgusting, dimwit*, halfwit*
harassment 1: stupid, shut up, stfu, you are ugly, you clown, pathetic, nobody asked, go away, you suck, dumb
profanity 4: cunt*, motherfucker*, motherfucking, mother fucker
profanity 3: fuck*, asshole*, arsehole*, cocksucker*, shithead*, dickhead*, fck, fcking
profanity 2: shit, shits, shitty, bullshit, horseshit, bitch, bitches, bitching, bastard*, wanker*, bollocks,
  piss off,
  prick, pricks, twat*, douchebag*, jackass*, dumb ass, fat ass, an ass
profanity 1: crap, crappy, damn, dammit, goddamn*, arse, bloody hell, wtf, bugger off, sod off, pissed
sexual 4: rape, rapes, raped, raping, rapist*, child porn, molest*, underage girls, underage boys
sexual 3: porn, porno, pornhub, pornography, blowjob*, blow job, handjob*, cumshot*, gangbang*, deepthroat*,
  creampie*,
  suck my dick, suck my cock, suck it bitch
sexual 2: nudes, boobs, tits, titties, pussy, dildo*, horny, dick pic*, jerk off, masturbat*, onlyfans, orgasm*,
  slut, sluts, slutty, whore, whores, hooker*, boner
sexual 1: sexy, naked, take it all off, show us your body, show us your boobs, show us your tits,
  show us your feet, hot body, nice legs, undress, sleep with me
spam 4: send bitcoin, double your money, free bitcoin, free crypto, seed phrase, wallet phrase, send me gift card*,
  send gift card*, pay in gift card*,
  recover your wallet, send me your password, send me your card
spam 3: whatsapp me, telegram me, text me on telegram, text me on whatsapp, work from home and
  earn, work from home and make, work from home job*, make money online, earn money
  fast, get rich quick, guaranteed profit*, crypto signals, investment opportunity, buy followers, cheap
  followers, free followers, binary options, forex signals
spam 2: follow for follow, f4f, sub4sub, sub for sub, follow me back, check my profile, check out my channel,
  link in my
  bio, link in bio, visit my shop, visit my page, dm me for *
spam 1: my channel, click here, subscribe to me, i sell the same, cheaper elsewhere, cheaper at my
harmless: shiitake*, shitake*, rapeseed*, dick whittington, moby dick, an ass's, damn good, pussy willow*, pussy cat*,
  tits and finches, blue tits, great tits, bastard file*, crap shoot, i will find you a, i will find you the, i will
  find you one, i will find you some, vermin proof*, pussy bow*, naked palette*, hooker green, hooker's green,
  prick your finger, stupid cheap, dumb bell*, dumb waiter*
""",
    "de": """
harassment 4: bring dich um, häng dich auf, stirb endlich, verrecke, geh sterben, ich bring dich um, ich werde dich
  finden, ich weiß wo du wohnst
harassment 3: missgeburt*, untermensch*, bist du behindert, du bist behindert, voll behindert, spast, spasti,
  mongo, geh zurück in dein land, fette sau, fette kuh,
  hässliche kuh, abschaum
harassment 2: idiot, idioten, idiotin, vollidiot*, trottel*, depp, deppen, volldepp*, penner*, versager*, dummkopf*,
  blödmann, schwachkopf*, schwachmat, schwachmaten
harassment 1: dumm, blöd, halt die klappe, halts maul, halt den mund, lächerlich, du nervst
profanity 4: hurensohn*, fotze*, wichser*, mutterficker*
profanity 3: fick dich, ficken, fickt, gefickt, arschloch, arschlöcher, drecksau*, schlampe*, scheißkerl*
profanity 2: scheiße, scheisse, scheiß*, arsch, mistkerl*, dreckskerl*, verpiss dich, kacke
profanity 1: mist, verdammt*, verflucht*, leck mich, zum teufel
sexual 4: vergewaltig*, kinderporno*, minderjährige mädchen
sexual 3: porno, pornos, blasen lassen, blowjob*, gruppensex
sexual 2: titten, deine möpse, geile möpse, muschi, geil auf dich, nacktbild*, nacktfoto*, nutte, nutten, hure, huren
sexual 1: sexy, nackt, zieh dich aus, zeig mal mehr haut, zeig mehr haut, heißer körper
spam 4: geld verdoppeln, verdopple dein geld, schick mir bitcoin, gratis bitcoin, schick mir dein passwort
spam 3: schreib mir auf whatsapp, schreib mir auf telegram, schnell reich werden, geld verdienen im internet,
  garantierter gewinn, follower kaufen, gratis follower
spam 2: folgt mir, folg mir zurück, schaut auf mein profil, schau auf mein profil, link in meiner bio
spam 1: mein kanal, klick hier, bei mir billiger, woanders billiger
harmless: mistel*, misthaufen, arschkalt, dumm gelaufen, verdammt gut, verdammt schön, katze muschi
""",
    "es": """
harassment 4: mátate, matate, suicídate, te voy a matar, ojalá te mueras, muérete, sé dónde vives
harassment 3: subnormal*, retrasado mental, retrasada mental, eres retrasado, eres retrasada, puto
  retrasado, mongólico, escoria, vuelve a tu país, gorda asquerosa, cerdo asqueroso
harassment 2: idiota*, imbécil*, estúpido, estúpida, gilipollas, payaso de mierda, fracasado, fracasada, tarado,
  tarada
harassment 1: tonto, tonta, cállate, callate, ridículo, das asco, das pena
profanity 4: hijo de puta, hija de puta, hijos de puta, hijueputa
profanity 3: jódete, cabrón, cabrones, coño, pendejo*, vete a la mierda, a tomar por culo, chinga*
profanity 2: mierda*, puta madre, puto, carajo, cagada
profanity 1: joder, culo, maldito, maldita, hostia, mecachis, qué asco
sexual 4: violarte, te violo, violador*, porno infantil
sexual 3: porno, pornografía, mamada*, chúpamela, follar, follarte
sexual 2: tetas, coñito, polla, zorra*, puta, putas, desnudos gratis, manda nudes
sexual 1: desnúdate, enseña más carne, enseña más piel, cuerpazo, quítatelo todo
spam 4: duplica tu dinero, bitcoin gratis, mándame tu contraseña, envía bitcoin
spam 3: escríbeme al whatsapp, escríbeme por telegram, gana dinero rápido, dinero desde casa, comprar seguidores,
  seguidores gratis, hazte rico
spam 2: sígueme, te sigo si me sigues, mira mi perfil, link en mi bio, enlace en mi bio
spam 1: mi canal, haz clic aquí, más barato en mi, yo lo vendo más barato
harmless: polla de agua, zorra ártica, tonto del bote, qué asco de tiempo, sígueme mostrando, sígueme enseñando
""",
    "fr": """
harassment 4: tue toi, suicide toi, va mourir, je vais te tuer, crève, pends toi, je sais où tu habites
harassment 3: sous homme*, attardé, attardée, mongol, mongolien*, sale race, rentre dans ton pays, grosse vache,
  grosse
  truie, déchet humain
harassment 2: idiot, idiots, idiote*, imbécile*, abruti*, crétin*, débile*, minable*, bouffon*, raté de la vie
harassment 1: stupide, ferme ta gueule, ta gueule, ferme la bouche, tu la fermes, tais toi, ridicule, tu es nul,
  t'es nul, t'es moche
profanity 4: fils de pute, fdp, enculé*, nique ta mère, ntm
profanity 3: va te faire foutre, salope*, connard*, connasse*, pute, putes, enfoiré*
profanity 2: merde*, putain, cul, couille*
profanity 1: zut alors, mince alors, fait chier, chier, bordel, saloperie*, bon sang
sexual 4: te violer, violeur*, pédoporno*, violer
sexual 3: porno, pornographie, sucer ma, pipe gratuite, baiser avec moi, te baiser
sexual 2: nichons, chatte, bite, bites, bander, photos nues, envoie des nudes, pétasse*
sexual 1: déshabille toi, montre plus de peau, montre nous plus de toi, mets toi à poil, toute à poil, corps de rêve
spam 4: double ton argent, bitcoin gratuit, envoie ton mot de passe, envoie des bitcoins
spam 3: écris moi sur whatsapp, écris moi sur telegram, gagner de l'argent vite, argent facile, acheter des abonnés,
  abonnés gratuits, devenir riche
spam 2: abonne toi à moi, follow moi, regarde mon profil, lien dans ma bio
spam 1: ma chaîne youtube, ma chaîne twitch, sur ma chaîne, clique ici, moins cher chez moi, moins cher ailleurs
harmless: cul de sac, cul sec, chatte angora, pipe gratuite de tabac, la crève, pneu crève*, s'est attardé,
  s'est attardée, grosse vache en peluche
""",
}
