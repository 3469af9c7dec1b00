local helper = require "spec.helper"
local mp = require "moonpipe"

-- A PDF with a page for each text.
local function pdf(texts)
  local objects, kids = { "<< /Type /Catalog /Pages 2 0 R >>", "" }, {}
  objects[3] = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
  for _, text in ipairs(texts) do
    local stream = ("BT /F1 12 Tf 72 700 Td (%s) Tj ET"):format(text)
    objects[#objects + 1] = ("<< /Length %d >>\nstream\n%s\nendstream"):format(#stream, stream)
    objects[#objects + 1] = ("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
      .. " /Resources << /Font << /F1 3 0 R >> >> >>"):format(#objects)
    kids[#kids + 1] = ("%d 0 R"):format(#objects)
  end
  objects[2] = ("<< /Type /Pages /Count %d /Kids [%s] >>"):format(#texts, table.concat(kids, " "))
  local out, offsets = "%PDF-1.4\n", {}
  for i, object in ipairs(objects) do
    offsets[i] = ("%010d 00000 n \n"):format(#out)
    out = out .. ("%d 0 obj\n%s\nendobj\n"):format(i, object)
  end
  return out .. ("xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
    .. "startxref\n%d\n%%%%EOF\n"):format(#objects + 1, table.concat(offsets), #objects + 1, #out)
end

local function failure(text, opts)
  local loader = mp.PDFLoader(helper.temp(text), opts)
  local ok, err = pcall(loader.load, loader)
  assert.is_false(ok)
  return err.kind, err.message
end

describe("PDFLoader", function()
  it("gives a document for each page", function()
    local path = helper.temp(pdf { "First page", "", "Third page" })
    local docs = mp.PDFLoader(path):load()
    assert.equal(3, #docs)
    assert.equal("First page", docs[1].page_content)
    assert.equal("", docs[2].page_content)
    assert.same({ source = path, page = 3, total_pages = 3 }, docs[3].metadata)
  end)

  it("gives one document where it is told to", function()
    local docs = mp.PDFLoader(helper.temp(pdf { "One", "Two" }), { mode = "single" }):load()
    assert.equal(1, #docs)
    assert.equal("One\n\nTwo", docs[1].page_content)
  end)

  it("reads many pages, more than a pipe holds", function()
    local texts = {}
    for i = 1, 300 do texts[i] = ("Page %d of many. "):format(i):rep(30) end
    local docs = mp.PDFLoader(helper.temp(pdf(texts))):load()
    assert.equal(300, #docs)
    assert.truthy(docs[300].page_content:find("^Page 300 of many%."))
  end)

  it("says what the program says of what is no PDF", function()
    local kind, message = failure("no pdf")
    assert.equal("decode", kind)
    assert.truthy(message:find("was not read by pdftotext", 1, true))
    assert.equal("too_large", (failure("no pdf", { max_bytes = 3 })))
  end)

  it("says which package is missing", function()
    local kind, message = failure("x", { program = "no-such-pdftotext" })
    assert.equal("unsupported", kind)
    assert.truthy(message:find("needs pdftotext, of poppler-utils", 1, true))
  end)

  it("ends the program when it is cancelled", function()
    local slow = helper.temp("#!/bin/sh\nexec sleep 100\n")
    assert(helper.execute { "chmod", "+x", slow })
    local path, began = helper.temp("x"), mp.now()
    local task = mp.chain(function(p) return #mp.PDFLoader(p, { program = slow }):load() end)
      :start(path)
    mp.sleep(0.05)
    task:cancel()
    local value, err = task:wait()
    assert.is_nil(value)
    assert.equal("cancelled", err.kind)
    assert.is_true(mp.now() - began < 30)
  end)

  it("refuses a mode that it does not know", function()
    assert.has_error(function() mp.PDFLoader("a", { mode = "lines" }) end)
  end)
end)
