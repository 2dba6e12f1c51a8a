"""Results for people: tables, pictures and pages.

pictures     masks on photographs, contact sheets, charts
pages        what every HTML page is made of
evaluation   scores as files, tables and a page
predictions  the folder of predictions
cache_page   the page of `cmirnet cache show`, and inspection: what is worth a look in a data set
tables       the common look of tables in the terminal
files        whether a place is free and has room
spread       a few of many
"""
