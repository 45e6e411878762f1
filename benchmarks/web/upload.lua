-- Uploads for wrk: `wrk … -- FORM BYTES`, where FORM is how the service takes them.
--   multipart   one file of a form, to /v1/classify
--   put         the body alone, each to a path of its own
local body, form

function init(arguments)
  form = arguments[1]
  -- What JPEG files begin with; the web tier looks no further.
  local image = "\255\216\255\224" .. string.rep("x", tonumber(arguments[2]) - 4)
  wrk.headers["Prefer"] = "respond-async"
  if form == "multipart" then
    wrk.method = "POST"
    wrk.path = "/v1/classify"
    wrk.headers["Content-Type"] = "multipart/form-data; boundary=frontier"
    wrk.body = '--frontier\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n' ..
      "Content-Type: image/jpeg\r\n\r\n" .. image .. "\r\n--frontier--\r\n"
  else
    wrk.method = "PUT"
    wrk.body = image
  end
  body = wrk.format()
end

local sent = 0
function request()
  if form == "multipart" then return body end
  sent = sent + 1
  return wrk.format(nil, "/" .. sent)
end
