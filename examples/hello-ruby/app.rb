# A small web app on WEBrick: answers with a greeting and what it knows about its request.
require "json"
require "webrick"

GREETING = "Hello from Ruby"

# WEBrick logs to the standard error stream; requests are apron's matter.
server = WEBrick::HTTPServer.new(Port: Integer(ENV.fetch("PORT", "8080")), AccessLog: [])

server.mount_proc "/" do |request, response|
  response["Content-Type"] = "application/json"
  response.body = JSON.generate(message: GREETING, path: request.path, mode: ENV.fetch("MODE", "development")) + "\n"
end

# SIGTERM means: finish what is running and end.
trap("TERM") { server.shutdown }
server.start
