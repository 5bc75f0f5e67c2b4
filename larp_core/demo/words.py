"""The demo world's vocabulary: what its genres, moods and everything else are called. Words only."""

from __future__ import annotations

GENRE_WORDS: dict[str, str] = {
    "ambient": "drift vapor horizon orbit aurora tundra glacier stillness nebula echo mist tide hollow satellite",
    "chamber": "sonata cello nocturne prelude opus minuet adagio quartet salon waltz partita candle lacquer suite",
    "folk": "meadow river barn willow lantern miller harvest fiddle orchard wagon sparrow hill mother creek",
    "jazz": "blue velvet corner cigar bourbon midnight brass swing alley saxophone uptown lounge sugar satin",
    "rock": "highway engine radio leather rebel wheels gasoline amplifier denim stadium thunder jukebox dust motel",
    "metal": "iron skull forge ash wolf throne plague hammer raven abyss crypt blade serpent cinder",
    "techno": "circuit warehouse signal pulse strobe concrete voltage grid machine kinetic binary laser modular phase",
    "hiphop": "block hustle crown money cypher mic street chain boulevard sneaker sample brooklyn flow ledger",
    "reggae": "island roots lion palm zion jah dub harbor mango rasta coconut kingston bay ocean",
    "chiptune": "pixel arcade sprite joystick cartridge bonus castle quest console coin dungeon turbo level byte",
}
"""Ten genres, fourteen words each; no word belongs to two."""

MOOD_WORDS: dict[str, str] = {
    "sunny": "sunshine smile dancing golden bright holiday laughing summer happy honey kite lemonade morning shine",
    "tender": "softly darling lullaby whisper gentle home pillow kiss quiet embrace cradle feather blanket dear",
    "fierce": "burning fight rage fury storm riot breaking wild scream fever venom crash fire hunter",
    "gloomy": "tears lonely grave winter fading goodbye rain sorrow empty broken ghost grey shadow mourning",
}

OTHER_WORDS = (
    "paper window seven letter garden table number story yellow pavement mirror basket train doctor pocket monday "
    "ticket bridge copper market button painter station coffee kitchen thread purple camera peninsula captain orange "
    "village mountain sister father cousin tuesday avenue hotel bicycle compass ladder marble needle olive pepper "
    "quarter ribbon saddle teacher uncle valley walnut anchor bottle circle dollar eleven finger guitar hundred "
    "insect jacket kettle lemon magnet napkin office parcel rabbit silver tailor umbrella vessel wallet yesterday "
    "zebra april bakery canyon desert eagle fabric gallery handle ivory jungle kingdom library museum notebook "
    "oxygen planet question rocket sailor temple universe visitor wonder"
)
"""Words that tell nothing."""

SYLLABLES = "ka lo mi ren sa tor vel dan bri ona zu fer lin mar os pia que ro sten ul vi wen ya ze hal jun"
ACCENTED_SYLLABLES = "bjø né łu ñan zoë çel šár mü"
"""Invented names of people; the accented ones are rarer and see to it that non-ASCII names occur."""

PLAYLIST_WORDS = "mix vibes favourites songs list mood set tunes forever 2017 jams & chill"
COUNTRIES = ("DE", "US", "UK", "BR", "PL", "AT", "")
