local mp = require "moonpipe"
local helper = require "spec.helper"

local said = helper.said

describe("Document", function()
  it("is made of a text and metadata", function()
    local doc = mp.Document("text", { source = "a.txt" })
    assert.equal("text", doc.page_content)
    assert.same({ source = "a.txt" }, doc.metadata)
  end)

  it("is made of a table", function()
    local doc = mp.Document { page_content = "text", id = "7" }
    assert.equal("7", doc.id)
    assert.same({}, doc.metadata)
  end)

  it("prints its text", function()
    assert.equal("text", tostring(mp.Document "text"))
  end)

  it("shows its fields to inspect", function()
    assert.equal('Document{ metadata = {}, page_content = "text" }', mp.inspect(mp.Document "text"))
  end)

  it("refuses an unknown option", function()
    assert.equal("unknown option 'content' of Document; allowed: page_content, metadata, id",
      said(mp.Document, { content = "x" }))
  end)

  it("refuses a text that is none", function()
    assert.equal("page_content of Document is the number 5; it must be a string",
      said(mp.Document, 5))
    assert.equal("page_content of Document is nil; it must be a string", said(mp.Document, {}))
  end)

  it("refuses metadata and ids of other types", function()
    assert.equal("metadata of Document is a string; it must be a table",
      said(mp.Document, "a", "b"))
    assert.equal("id of Document is the number 1; it must be a string",
      said(mp.Document, { page_content = "a", id = 1 }))
  end)
end)
