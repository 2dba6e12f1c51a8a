"""Work on a Ray cluster: many processes on many machines, of which any may die.

    pieces()  →  piece  →  an actor that holds the model  →  report

Ray Data lists pieces in its own process and hands them to actors, a few at a time. Actors write results themselves; only small reports
come back. A piece whose actor dies starts again from its beginning, so the results of a piece must appear whole or not at all.
"""
