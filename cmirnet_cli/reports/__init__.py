"""Results for people: tables, pictures and pages.

pictures     masks on photographs, charts
pages        pages of cards as plain data; templates/ draws them
evaluation   scores as files, tables and a page
predictions  the folder of predictions
cache_page   the page of `cmirnet cache show`, and which referents are worth a look
tables       the common look of tables in the terminal
"""
