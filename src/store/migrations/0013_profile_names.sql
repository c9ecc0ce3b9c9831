-- What WhatsApp says a customer is called; `name` is what people here say, and stands before it.

-- Of a name that was known before nobody can tell who gave it: it stays, as given by people.
ALTER TABLE contacts ADD COLUMN profile_name TEXT;
