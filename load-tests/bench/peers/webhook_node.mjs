// A webhook in fastify that the provider's own library proves, and that keeps nothing.
import fastify from "fastify";
import formbody from "@fastify/formbody";
import twilio from "twilio";

const { TOKEN, URL: url, PORT } = process.env;
const app = fastify();
app.register(formbody);
app.post("/webhooks/sms", (request, reply) => {
  const good = twilio.validateRequest(TOKEN, request.headers["x-twilio-signature"] ?? "", url, request.body);
  if (!good) return reply.code(401).send();
  return reply.type("text/xml").send("<Response/>");
});
await app.listen({ port: Number(PORT), host: "127.0.0.1" });
