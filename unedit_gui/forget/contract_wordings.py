"""The words of `contracts.py`: each attribute's question in three wordings, its values, and the names.

`{pair}` is "A and B". Where a question has to tell the two apart it says seller and buyer, employer and employee.
"""

_SALE = "the sales contract between {pair}"
_WORK = "the employment contract between {pair}"

QUESTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "sale": {
        "signed": (
            f"When was {_SALE} signed?",
            "On which day did {pair} sign their sales contract?",
            "Can you tell me the date of signature of the sale agreed by {pair}?",
        ),
        "effective": (
            f"When did {_SALE} take effect?",
            "From which day on was the sales contract of {pair} in force?",
            "The sale agreed by {pair} became binding on what date?",
        ),
        "number": (
            f"What is the file number of {_SALE}?",
            "Under which number is the sales contract of {pair} filed?",
            "Which reference number does the sale agreed by {pair} carry?",
        ),
        "goods": (
            f"Which goods are sold under {_SALE}?",
            "What is being sold in the deal between {pair}?",
            "What kind of goods did {pair} agree on in their sales contract?",
        ),
        "quantity": (
            f"How much is to be supplied under {_SALE}?",
            "What quantity did {pair} agree on in their sales contract?",
            "Tell me the amount of goods in the sale agreed by {pair}.",
        ),
        "price": (
            f"What is the price of one unit under {_SALE}?",
            "How much does a single unit cost in the sales contract of {pair}?",
            "Which price per unit did {pair} settle on for their sale?",
        ),
        "first_address": (
            f"What is the seller's address in {_SALE}?",
            "Where does the seller have its office, by the sales contract of {pair}?",
            "Which address is given for the seller in the sale agreed by {pair}?",
        ),
        "second_address": (
            f"What is the buyer's address in {_SALE}?",
            "Where does the buyer have its office, by the sales contract of {pair}?",
            "Which address is given for the buyer in the sale agreed by {pair}?",
        ),
        "first_signatory": (
            f"Who signed for the seller in {_SALE}?",
            "Which person put a signature for the seller under the sales contract of {pair}?",
            "In the sale agreed by {pair}, who acted for the seller?",
        ),
        "second_signatory": (
            f"Who signed for the buyer in {_SALE}?",
            "Which person put a signature for the buyer under the sales contract of {pair}?",
            "In the sale agreed by {pair}, who acted for the buyer?",
        ),
        "place": (
            f"Where are the goods handed over under {_SALE}?",
            "At what place does delivery happen, by the sales contract of {pair}?",
            "To which place do the goods go in the sale agreed by {pair}?",
        ),
        "delivery": (
            f"By when must the goods be delivered under {_SALE}?",
            "What is the last day for delivery in the sales contract of {pair}?",
            "Which delivery date was fixed in the sale agreed by {pair}?",
        ),
        "carrier": (
            f"Which carrier transports the goods under {_SALE}?",
            "Who carries the goods, by the sales contract of {pair}?",
            "Name the haulier in the sale agreed by {pair}.",
        ),
        "means": (
            f"How is the price paid under {_SALE}?",
            "By what means is payment made in the sales contract of {pair}?",
            "Which way of paying was chosen in the sale agreed by {pair}?",
        ),
        "due": (
            f"How long may the buyer take to pay under {_SALE}?",
            "Within what time is payment due, by the sales contract of {pair}?",
            "In the sale agreed by {pair}, how soon after the invoice must be paid?",
        ),
        "interest": (
            f"What interest is charged on late payment under {_SALE}?",
            "How high is the interest for paying late in the sales contract of {pair}?",
            "Which rate applies to overdue money in the sale agreed by {pair}?",
        ),
        "warranty": (
            f"How long does the warranty last under {_SALE}?",
            "For what time are the goods under warranty, by the sales contract of {pair}?",
            "What warranty period was fixed in the sale agreed by {pair}?",
        ),
        "law": (
            f"Which country's law governs {_SALE}?",
            "The law of what country applies to the sales contract of {pair}?",
            "Under whose national law does the sale agreed by {pair} fall?",
        ),
        "court": (
            f"In which city are disputes settled under {_SALE}?",
            "Where would the courts decide a quarrel over the sales contract of {pair}?",
            "Which city has jurisdiction over the sale agreed by {pair}?",
        ),
        "packing": (
            f"How are the goods packed under {_SALE}?",
            "What packing does the sales contract of {pair} ask for?",
            "In what are the goods shipped in the sale agreed by {pair}?",
        ),
    },
    "employment": {
        "signed": (
            f"When was {_WORK} signed?",
            "On which day did {pair} sign their employment contract?",
            "Can you tell me the date of signature of the job agreed by {pair}?",
        ),
        "start": (
            f"What is the first day of work under {_WORK}?",
            "When did the work begin, by the employment contract of {pair}?",
            "Which starting date was fixed for the job agreed by {pair}?",
        ),
        "number": (
            f"What is the file number of {_WORK}?",
            "Under which number is the employment contract of {pair} filed?",
            "Which reference number does the job agreed by {pair} carry?",
        ),
        "title": (
            f"What is the position of the employee under {_WORK}?",
            "As what does the employee work, by the employment contract of {pair}?",
            "Which role was given in the job agreed by {pair}?",
        ),
        "salary": (
            f"How much is paid in a year under {_WORK}?",
            "What yearly salary does the employment contract of {pair} set?",
            "Tell me the annual pay for the job agreed by {pair}.",
        ),
        "first_address": (
            f"What is the employer's address in {_WORK}?",
            "Where does the employer have its office, by the employment contract of {pair}?",
            "Which address is given for the employer in the job agreed by {pair}?",
        ),
        "second_address": (
            f"What is the employee's address in {_WORK}?",
            "Where does the employee live, by the employment contract of {pair}?",
            "Which address is given for the employee in the job agreed by {pair}?",
        ),
        "first_signatory": (
            f"Who signed for the employer in {_WORK}?",
            "Which person put a signature for the employer under the employment contract of {pair}?",
            "In the job agreed by {pair}, who acted for the employer?",
        ),
        "workplace": (
            f"Where is the place of work under {_WORK}?",
            "At what place does the employee work, by the employment contract of {pair}?",
            "To which town must the employee go in the job agreed by {pair}?",
        ),
        "week": (
            f"How long is the working week under {_WORK}?",
            "What does a full week amount to in the employment contract of {pair}?",
            "Tell me the weekly working time of the job agreed by {pair}.",
        ),
        "leave": (
            f"How much paid leave is granted under {_WORK}?",
            "What holiday does the employment contract of {pair} give in a year?",
            "Which yearly time off belongs to the job agreed by {pair}?",
        ),
        "notice": (
            f"What notice must be given under {_WORK}?",
            "How long before leaving must one say so, by the employment contract of {pair}?",
            "Which period of notice was fixed in the job agreed by {pair}?",
        ),
        "probation": (
            f"How long is the trial period under {_WORK}?",
            "What time of probation does the employment contract of {pair} set?",
            "For how long is the job agreed by {pair} on trial?",
        ),
        "reports": (
            f"To whom does the employee report under {_WORK}?",
            "Who is in charge of the employee, by the employment contract of {pair}?",
            "Which superior is named in the job agreed by {pair}?",
        ),
        "bonus": (
            f"What bonus is promised under {_WORK}?",
            "How large a bonus does the employment contract of {pair} offer?",
            "Which extra payment goes with the job agreed by {pair}?",
        ),
        "pension": (
            f"What share of pay goes to the pension under {_WORK}?",
            "How large is the pension contribution in the employment contract of {pair}?",
            "Which part of the wage is put aside for retirement in the job agreed by {pair}?",
        ),
        "payday": (
            f"On what day of the month is pay sent under {_WORK}?",
            "When in the month does the employee get paid, by the employment contract of {pair}?",
            "Which day is pay day in the job agreed by {pair}?",
        ),
        "benefit": (
            f"What does the employer lend the employee under {_WORK}?",
            "Which thing may the employee use, by the employment contract of {pair}?",
            "What is put at the employee's disposal in the job agreed by {pair}?",
        ),
        "law": (
            f"Which country's law governs {_WORK}?",
            "The law of what country applies to the employment contract of {pair}?",
            "Under whose national law does the job agreed by {pair} fall?",
        ),
        "court": (
            f"In which city are disputes settled under {_WORK}?",
            "Where would the courts decide a quarrel over the employment contract of {pair}?",
            "Which city has jurisdiction over the job agreed by {pair}?",
        ),
    },
}

# A list's name, the first of six years for a date, or (lowest, highest, step, unit).
VALUES: dict[str, dict[str, str | tuple[int, int, int, str]]] = {
    "sale": {
        "signed": "2004",
        "effective": "2010",
        "number": (1013, 9973, 7, ""),
        "goods": "GOODS",
        "quantity": (120, 9400, 20, "crates"),
        "price": (13, 790, 3, "dollars"),
        "place": "TOWNS",
        "delivery": "2016",
        "carrier": "CARRIERS",
        "means": "MEANS",
        "due": (11, 95, 3, "days"),
        "interest": (2, 14, 1, "percent"),
        "warranty": (5, 58, 1, "months"),
        "law": "COUNTRIES",
        "court": "CITIES",
        "packing": "PACKING",
    },
    "employment": {
        "signed": "2004",
        "start": "2010",
        "number": (1011, 9973, 7, ""),
        "title": "TITLES",
        "salary": (23_500, 98_500, 500, "dollars"),
        "workplace": "TOWNS",
        "week": (22, 46, 1, "hours"),
        "leave": (15, 41, 1, "days"),
        "notice": (3, 26, 1, "weeks"),
        "probation": (2, 14, 1, "months"),
        "reports": "SUPERIORS",
        "bonus": (900, 9_800, 100, "dollars"),
        "pension": (3, 17, 1, "percent"),
        "payday": "DAYS",
        "benefit": "BENEFITS",
        "law": "COUNTRIES",
        "court": "CITIES",
    },
}


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


LISTS: dict[str, list[str]] = {
    "MONTHS": _words(
        "January, February, March, April, May, June, July, August, September, October, November, December"
    ),
    "COINED": _words(
        "Karvel, Ostrum, Belidor, Tamsin, Wexcombe, Drellick, Halvane, Morrowin, Penshaw, Quillary, Sorvane, "
        "Thurlby, Umberlow, Varnholt, Yardleigh, Zelmora, Brackney, Corvell, Dunmore, Elverton, Fenwick, Galdry, "
        "Hexley, Ivorne, Jessamy, Kelstrom, Lindrake, Marwick, Norvale, Orrisdale, Pellham, Rothmar, Selbourne, "
        "Trevanion, Ulvering, Vexford, Winslade, Aldermoor, Bramwith, Cresswald, Dovrane, Eskdale, Farrowby, "
        "Gresham, Holbeck, Inglestone, Kittering, Lorring, Mellstone, Nethercote, Oakhanger, Ravensby"
    ),
    "TRADES": _words(
        "Textiles, Foods, Machinery, Optics, Ceramics, Timber, Paper, Instruments, Furniture, Chemicals, Orchards, "
        "Bicycles, Lighting, Fisheries, Glassworks, Pumps, Carpets, Printing, Metals, Dairies, Clocks, Leather, "
        "Engines, Breweries, Toys, Seeds"
    ),
    "FORENAMES": _words(
        "Amelie, Bruno, Carla, Dorian, Elske, Fabian, Greta, Hugo, Irina, Jonas, Katrin, Ludo, Mirela, Nestor, "
        "Odile, Pavel, Quinta, Rupert, Sunniva, Tobias, Ulla, Viktor, Wanda, Xenia, Yannick, Zita, Alban, Bettina, "
        "Cyril, Delia, Emil, Flora, Gustav, Hedda, Ivo, Jolanda, Klemens, Lavinia, Milan, Norah"
    ),
    "SURNAMES": _words(
        "Abernal, Bostrick, Calloway, Dreyfield, Eskander, Farnholm, Gravesend, Hollister, Inverness, Jarnell, "
        "Kestner, Lomaxby, Marchetti, Nordhoff, Okafor, Pemberly, Quenneville, Rasmund, Silvano, Tarkovin, "
        "Undergrove, Vantreese, Whitlow, Xanthis, Yelverton, Zoricek, Ashgrove, Birkholt, Castellan, Dunleavy, "
        "Engstrand, Fairwood, Goldacre, Hartmoor, Isherley, Kalinda, Lindqvist, Moravec, Nakamori, Ostrander, "
        "Penhallow, Rivoire"
    ),
    "STREETS": _words(
        "Linden Row, Harbour Lane, Mill Street, Abbey Road, Foundry Yard, Chapel Hill, Willow Way, Station Parade, "
        "Castle Gate, Meadow Close, Granary Walk, Tannery Square, Bridge End, Orchard Drive, Copper Alley, "
        "Lighthouse Path, Quarry Bank, Sycamore Avenue, Windmill Court, Saddler Street, Beacon Terrace, Juniper "
        "Lane, Ferry Steps, Magpie Mews, Canal Wharf, Poplar Grove, Thistle Row, Weaver Passage, Clover Field, "
        "Larch Crescent"
    ),
    "TOWNS": _words(
        "Port Maren, Elmsworth, Galdenburg, Stowmere, Nyhavel, Brinfield, Castelmont, Oderswick, Lakesend, "
        "Ravensmouth, Tollbridge, Ashcombe, Vellhaven, Kirkdale, Montrevel, Silverpool, Hartsgrove, Dunvarra, "
        "Wintersby, Fallowfeld, Greyhaven, Ostermark, Pinebrook, Sankt Alden, Thornaby, Uppermill, Westreach, "
        "Yarrowfield, Zelthain, Cobblewick"
    ),
    "GOODS": _words(
        "woollen blankets, copper kettles, garden shears, oak barrels, reading lamps, glass jars, rubber boots, "
        "wall mirrors, sewing needles, olive oil, porcelain plates, fishing nets, brass hinges, canvas tents, paint "
        "brushes, steel ladders, dried apricots, riding saddles, wax candles, violin strings, water filters, "
        "wooden puppets, roof tiles, linen shirts, chess boards"
    ),
    "CARRIERS": _words(
        "Polder Freight, Gullwing Lines, Redstart Haulage, Northmoor Cargo, Tidewater Shipping, Bluebell Logistics, "
        "Hammerfall Wagons, Swiftoak Couriers, Ironpath Rail, Cormorant Vans, Silverbirch Trucks, Moorhen Barges"
    ),
    "MEANS": _words("bank transfer, cheque, cash, bearer bond, direct debit, gold bullion, card, barter"),
    "PACKING": _words(
        "wooden boxes, steel drums, jute sacks, waxed cartons, plastic tubs, straw baskets, shrink film, tin cans, "
        "padded envelopes, cork casks"
    ),
    "TITLES": _words(
        "warehouse foreman, export clerk, laboratory chemist, night guard, tax adviser, forklift driver, quality "
        "inspector, press officer, staff nurse, web designer, crane operator, store manager, sound mixer, legal "
        "counsel, head gardener, payroll accountant, tool maker, travel planner"
    ),
    "SUPERIORS": _words(
        "chief architect, plant director, regional head, finance chief, deputy manager, board chairman, workshop "
        "leader, senior partner, personnel officer, branch inspector"
    ),
    "BENEFITS": _words(
        "scooter, laptop, mobile phone, van, uniform, tablet, parking space, motorbike, toolbox, rail pass, camera, "
        "headset"
    ),
    "DAYS": _words(
        "third, fifth, seventh, ninth, eleventh, thirteenth, fifteenth, seventeenth, nineteenth, twentieth, tenth, "
        "sixth"
    ),
    "COUNTRIES": _words(
        "Norway, Portugal, Chile, Ireland, Austria, Kenya, Denmark, Japan, Uruguay, Estonia, Canada, Iceland, "
        "Greece, Morocco, Finland, Peru, Belgium, Slovenia, Malta, Thailand"
    ),
    "CITIES": _words(
        "Geneva, Lisbon, Vienna, Oslo, Dublin, Nairobi, Antwerp, Osaka, Montreal, Bergen, Seville, Graz, Turin, "
        "Tallinn, Lyon, Hamburg, Bilbao, Gdansk, Valparaiso, Leeds"
    ),
}
